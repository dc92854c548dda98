//! The texts of reports, as types. Each text is written once, beside its name, so that it can be searched for. A list of all texts
//! lets the tests compare them with the documents.

/// Declares an enum of texts. `Display` writes the text of a variant and fills in its fields by name. `TEXTS` is the list of all
/// texts as they are written in the declaration.
///
/// ```ignore
/// texts! {
///     /// Why the relay is not used.
///     pub enum Cause {
///         NoStarttls => "no STARTTLS is offered",
///         Expired { name: String } => "{name} is expired",
///     }
/// }
/// ```
#[macro_export]
macro_rules! texts {
    ($(#[$attribute:meta])* $visibility:vis enum $name:ident {
        $($variant:ident $({ $($field:ident : $type:ty),* $(,)? })? => $text:literal),* $(,)?
    }) => {
        $(#[$attribute])*
        $visibility enum $name {
            $(
                #[doc = $text]
                $variant $({ $(#[doc = "In the text."] $field: $type),* })?
            ),*
        }

        impl $name {
            /// The texts of all variants, each with its `{fields}`.
            pub const TEXTS: &'static [&'static str] = &[$($text),*];
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self {
                    $($name::$variant $({ $($field),* })? => ::core::write!(f, $text)),*
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    texts! {
        /// An example.
        #[derive(Debug)]
        enum Cause {
            Plain => "no STARTTLS is offered",
            Filled { name: String, code: u16 } => "{name} says {code}",
        }
    }

    #[test]
    fn written_and_listed() {
        assert_eq!(Cause::Plain.to_string(), "no STARTTLS is offered");
        assert_eq!(Cause::Filled { name: "relay".to_owned(), code: 535 }.to_string(), "relay says 535");
        assert_eq!(Cause::TEXTS, ["no STARTTLS is offered", "{name} says {code}"]);
    }
}
