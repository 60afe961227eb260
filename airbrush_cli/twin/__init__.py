"""The digital twin: what a plan of strokes looks like on paper, and how that changes with the plan.

Definition, which every backend follows (tests/twin_reference.py is the same in slow float64):

A path is a polyline in mm with a spot width sigma (mm) and an opacity at each node, both linear along a chord. A stroke
is the path of its cubic Bézier at 17 equidistant t, with z and v linear in t, and sigma(z, v) and opacity(z, v) from
the look-up tables, bilinear.

The coverage of a path at a point is opacity(t*) f(d² / sigma(t*)²), where t* is the nearest point of the polyline and
d its distance; f is the spot profile (profile.py), a Gaussian closed to zero at 3 sigma. Rasters sample it at pixel
centres.

Films lie one on another in the order of the strokes, in linear RGB, white paper being 1. With coverage a and film
colour ink (trilinear from the colour table) the light C becomes

    alpha_over:  C (1 − a) + ink a          multiply:  C (1 − a (1 − ink)).

A stroke of no length has no direction, so its coverage would have no gradient. Therefore a stroke whose control points
have a root mean square distance rho < 0.05 mm from their mean is drawn in towards it by the factor s = tau (2 − tau),
tau = (rho / 0.05 mm)². What z and v change along the stroke is drawn in by the same factor with 0.5 mm: no machine
changes them much within a fraction of a millimetre. Where a path lies exactly upon itself, or a pixel equally near to
two parts of it, the nearest point is ambiguous and no gradient exists; backends give that of one of the parts.
"""
