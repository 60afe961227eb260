"""The look of reports: light or dark as the reader's system is, printed well, no font or script from elsewhere."""

STYLE = """
:root{--back:#faf9f7;--card:#fff;--ink:#1d1d1f;--soft:#6e6e73;--line:#e4e2dd;--cyan:#0093b8;--magenta:#c2187b;
--yellow:#e0a800;--bad:#c92a2a;--good:#2b8a3e}
@media(prefers-color-scheme:dark){:root{--back:#161618;--card:#1f1f22;--ink:#eeeef0;--soft:#98989d;--line:#333337;
--cyan:#3cc4e6;--magenta:#ff6fb8;--yellow:#ffd24d;--bad:#ff7b72;--good:#69db7c}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;
border-top:5px solid;border-image:linear-gradient(90deg,var(--cyan) 33%,var(--magenta) 33% 66%,var(--yellow) 66%) 1}
main{max-width:1200px;margin:0 auto;padding:2rem 1.25rem 4rem}
header p{margin:0;color:var(--soft)}
h1{margin:.1rem 0 .2rem;font-size:1.9rem;letter-spacing:-.02em;overflow-wrap:anywhere}
h2{margin:2.6rem 0 .9rem;font-size:1.15rem}
.kind{text-transform:uppercase;letter-spacing:.08em;font-size:.8rem}
.state{color:#fff;background:var(--soft);border-radius:99px;padding:.1rem .6rem;margin-left:.4rem;letter-spacing:0;
text-transform:none}
.state.done{background:var(--good)}.state.failed{background:var(--bad)}.state.running{background:var(--cyan)}
.tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin-top:1.4rem}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:.8rem 1.1rem;min-width:10rem}
.tile b{display:block;font-size:1.7rem;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile span{display:block;color:var(--soft)}.tile i{font-style:normal;font-size:.8rem;color:var(--soft)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(310px,1fr));gap:.8rem}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:12px;overflow:hidden}
.charts figure{padding:.7rem .8rem .2rem}
.charts figcaption{display:flex;gap:.35rem;font-size:.9rem}
.charts figcaption b{white-space:nowrap}
.charts figcaption span{margin-left:auto;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;
color:var(--soft);font-variant-numeric:tabular-nums}
svg{display:block;width:100%;height:auto}
svg text{font:10px system-ui,sans-serif;fill:var(--soft)}
svg .up{text-anchor:end}svg .across,svg .none{text-anchor:middle}
.grid{stroke:var(--line);stroke-width:1}
.raw{fill:none;stroke:var(--cyan);stroke-width:1;opacity:.3}
.line{fill:none;stroke:var(--cyan);stroke-width:2;stroke-linejoin:round}
.end{fill:var(--cyan)}
.mark{stroke:var(--yellow);stroke-width:1.5;stroke-dasharray:3 3}.mark.trouble{stroke:var(--bad)}
.dot{fill:var(--soft);opacity:.55}.dot.chosen{fill:var(--magenta);opacity:1;stroke:var(--card);stroke-width:2}
.paintings{display:grid;grid-template-columns:repeat(auto-fill,minmax(170px,1fr));gap:.8rem}
.paintings img{display:block;width:100%;background:#fff}
.paintings figcaption{padding:.5rem .7rem .6rem}
.paintings span{display:block;color:var(--soft);font-size:.8rem}
.paintings .target{border:2px solid var(--magenta)}
table{border-collapse:collapse;width:100%;font-size:.88rem}
td,th{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:anywhere}
.number{text-align:right;font-variant-numeric:tabular-nums}
.trouble td{color:var(--bad)}
details{border-bottom:1px solid var(--line);padding:.45rem 0}summary{cursor:pointer}
pre{overflow:auto;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7rem;font-size:.8rem}
@media print{details{display:none}section{break-inside:avoid}}
"""
