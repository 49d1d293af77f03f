//! The one scripted server of all tests, by the names that these tests use.

pub(crate) use sealift_test_support::{
    Act, Received as Hit, ScriptedServer as Server, Silent, answer, content, head, nobody, parts,
};
