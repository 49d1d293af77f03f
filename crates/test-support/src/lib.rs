//! Real parts and faulty ones for sealift's tests.
