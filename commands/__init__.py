"""One thin module per subcommand: options, help, calls into the library, results printed. No logic."""
