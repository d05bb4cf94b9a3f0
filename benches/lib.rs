//! Nothing but a home for the benchmarks: see `benches/README.md`.
