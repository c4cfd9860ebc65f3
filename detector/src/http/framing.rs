//! How long the body of a message is.

use detector_framing::{Framing, Method};

use super::Head;

/// Returns the framing of the message with this head. `method` is that of the request that
/// a response answers; where it is not known, the response may have a body.
#[must_use]
pub fn framing(head: &Head, method: Option<&str>) -> Framing {
    detector_framing::framing(&head.framing, method.map(Method::named).unwrap_or_default())
}
