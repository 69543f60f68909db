//! Messages, ordinary and nasty, through the whole chain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod kit;

mod corpus {
    mod composed;
    mod outlines;
    mod served;
    mod shaped;
    mod shapes;
    mod walk;
    mod words;
}

#[test]
fn no_file_is_forgotten() {
    kit::none_forgotten("corpus", include_str!("corpus.rs"));
}
