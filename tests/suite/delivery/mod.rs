//! One delivery, whatever the server, the network and the system do: no mail is lost, none bounced that was not refused.

mod chaos;
mod faults;
mod long_message;
mod machine;
mod next_address;
mod offsets;
mod parameters;
mod process;

mod smuggling;
