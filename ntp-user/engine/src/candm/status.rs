//! How a command ended, as replies say it.

/// How a command ended. chronyc prints each as a number of three digits and a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// It was done.
    Success = 0,
    /// It could not be done.
    Failed = 1,
    /// Who asks may not.
    NotAuthorised = 2,
    /// There is no such command, or an argument makes no sense.
    Invalid = 3,
    /// No source has that address or number.
    NoSuchSource = 4,
    /// What it is about is switched off by the configuration.
    NotEnabled = 6,
    /// No network has that prefix length.
    BadSubnet = 7,
    /// The address is allowed.
    AccessAllowed = 8,
    /// The address is denied.
    AccessDenied = 9,
    /// There is a source with that address.
    SourceAlreadyKnown = 11,
    /// There is no room for another source.
    TooManySources = 12,
    /// There is no real-time clock that is looked after.
    NoRtc = 13,
    /// There is no such record: it is not kept.
    Inactive = 15,
    /// There is no such sample.
    BadSample = 16,
    /// The address is of a family that is not of use.
    InvalidFamily = 17,
    /// The packet is of another version of the protocol.
    BadVersion = 18,
    /// The packet is too short for its command.
    BadLength = 19,
    /// The name is none.
    InvalidName = 21,
}
