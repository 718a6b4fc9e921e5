//! Structs whose fields are declared together with their defaults.

/// Declares a struct and its `Default`: each field with its type and, behind `=`, its default.
macro_rules! defaults {
    ($(#[$about:meta])* $vis:vis struct $name:ident {
        $($(#[$doc:meta])* $field_vis:vis $field:ident: $type:ty = $default:expr,)*
    }) => {
        $(#[$about])*
        $vis struct $name {
            $(
                $(#[$doc])*
                #[doc = concat!("\n\nDefault: `", stringify!($default), "`.")]
                $field_vis $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)* }
            }
        }
    };
}

pub(crate) use defaults;
