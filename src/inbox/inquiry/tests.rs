//! Questions as providers want them, and what their answers say.

mod asking;
mod comparisons;
mod requests;
