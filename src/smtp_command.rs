//! The commands of a session, each of which is answered by one reply (RFC 5321 section 4.1).

/// What a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The connection itself: the server speaks first.
    Greeting,
    /// EHLO.
    Ehlo,
    /// HELO, where EHLO was refused.
    Helo,
    /// STARTTLS.
    StartTls,
    /// AUTH, and each line of a login after it.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT, and which of the recipients it names, from 0 on.
    Rcpt(usize),
    /// DATA.
    Data,
    /// The final dot of the message.
    EndOfData,
}

impl Command {
    /// For whoever is shown the reply.
    pub fn name(self) -> &'static str {
        match self {
            Command::Greeting => "greeting",
            Command::Ehlo => "EHLO",
            Command::Helo => "HELO",
            Command::StartTls => "STARTTLS",
            Command::Auth => "AUTH",
            Command::Mail => "MAIL",
            Command::Rcpt(_) => "RCPT",
            Command::Data => "DATA",
            Command::EndOfData => "the message",
        }
    }
}
