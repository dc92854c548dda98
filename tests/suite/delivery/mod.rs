//! One delivery, whatever the server, the network and the system do: no mail is lost, none bounced that was not refused.

mod chaos;
mod faults;
mod machine;
mod message;
mod next_address;
mod offsets;
mod process;
mod smuggling;
