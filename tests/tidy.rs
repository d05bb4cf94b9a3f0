//! Holds the shape of the code.
