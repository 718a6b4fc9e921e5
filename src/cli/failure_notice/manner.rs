//! The decision how failures are reported: in a dialog, a framed message or a plain one.

use std::ffi::OsString;

use clap::ValueEnum;

/// What `--dialog` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialogMode {
    /// A framed message on a terminal; a dialog on a desktop without a terminal
    Auto,
    /// A dialog; a framed message if no dialog can be shown
    Always,
    /// A framed message, no dialog
    Terminal,
    /// A plain message on stderr
    Never,
}

/// What of the surroundings matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Somebody reads what stands on stderr.
    pub(crate) stderr_is_terminal: bool,
    /// `DISPLAY`, empty when not set.
    pub(crate) x_display: String,
    /// Whether `WAYLAND_DISPLAY` names one.
    pub(crate) wayland: bool,
    /// Whether this process belongs to a login over ssh.
    pub(crate) over_ssh: bool,
}

/// How failures are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) dialog: bool,
    pub(crate) frame: bool,
}

impl Surroundings {
    /// Reads them off the environment, of which `var` tells.
    pub(crate) fn of(stderr_is_terminal: bool, var: impl Fn(&str) -> Option<OsString>) -> Surroundings {
        let is_set = |name| var(name).is_some_and(|value| !value.is_empty());
        Surroundings {
            stderr_is_terminal,
            x_display: var("DISPLAY").unwrap_or_default().to_string_lossy().into_owned(),
            wayland: is_set("WAYLAND_DISPLAY"),
            over_ssh: ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].into_iter().any(is_set),
        }
    }

    /// Whether the person at whose request this process runs sees a desktop that it can use. Over ssh only a display
    /// that is forwarded is that person's; one of this machine is in front of somebody else, or of nobody.
    fn has_desktop(&self) -> bool {
        let is_here = self.x_display.starts_with([':', '/']) || self.x_display.starts_with("unix:");
        match self.over_ssh {
            true => !self.x_display.is_empty() && !is_here,
            false => !self.x_display.is_empty() || self.wayland,
        }
    }
}

impl Manner {
    /// As `--dialog` wishes, here.
    pub(crate) fn decided(mode: DialogMode, around: &Surroundings) -> Manner {
        match mode {
            DialogMode::Auto => Manner {
                dialog: !around.stderr_is_terminal && around.has_desktop(),
                frame: around.stderr_is_terminal,
            },
            DialogMode::Always => Manner { dialog: true, frame: true },
            DialogMode::Terminal => Manner { dialog: false, frame: true },
            DialogMode::Never => Manner { dialog: false, frame: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(stderr_is_terminal: bool, vars: &[(&str, &str)]) -> Surroundings {
        Surroundings::of(stderr_is_terminal, |name| {
            vars.iter().find(|(var, _)| *var == name).map(|(_, value)| value.into())
        })
    }

    /// Whether a dialog and whether a frame.
    fn decided(mode: DialogMode, stderr_is_terminal: bool, vars: &[(&str, &str)]) -> (bool, bool) {
        let Manner { dialog, frame } = Manner::decided(mode, &around(stderr_is_terminal, vars));
        (dialog, frame)
    }

    const X: (&str, &str) = ("DISPLAY", ":0");
    const WAYLAND: (&str, &str) = ("WAYLAND_DISPLAY", "wayland-0");
    const SSH: (&str, &str) = ("SSH_CONNECTION", "10.0.0.2 50000 10.0.0.1 22");
    const FORWARDED: (&str, &str) = ("DISPLAY", "localhost:10.0");

    #[test]
    fn on_a_terminal_a_frame_and_no_dialog() {
        for vars in [&[][..], &[X], &[WAYLAND], &[X, WAYLAND], &[SSH, FORWARDED]] {
            assert_eq!(decided(DialogMode::Auto, true, vars), (false, true), "{vars:?}");
        }
    }

    #[test]
    fn without_a_terminal_a_dialog_where_there_is_a_desktop() {
        for vars in [&[X][..], &[WAYLAND], &[X, WAYLAND], &[FORWARDED], &[("DISPLAY", ""), WAYLAND]] {
            assert_eq!(decided(DialogMode::Auto, false, vars), (true, false), "{vars:?}");
        }
        for vars in [&[][..], &[("DISPLAY", "")], &[("WAYLAND_DISPLAY", "")], &[("DISPLAY", ""), SSH]] {
            assert_eq!(decided(DialogMode::Auto, false, vars), (false, false), "{vars:?}");
        }
    }

    #[test]
    fn over_ssh_only_a_forwarded_display_is_a_desktop() {
        for name in ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"] {
            let ssh = (name, "x");
            for other in [X, WAYLAND, ("DISPLAY", "unix:0"), ("DISPLAY", "/private/tmp/launch:0")] {
                assert_eq!(decided(DialogMode::Auto, false, &[ssh, other]), (false, false), "{other:?}");
            }
            assert_eq!(decided(DialogMode::Auto, false, &[ssh, FORWARDED]), (true, false));
            assert_eq!(decided(DialogMode::Auto, false, &[(name, ""), X]), (true, false));
        }
    }

    #[test]
    fn what_is_asked_for_goes_over_the_surroundings() {
        for (terminal, vars) in [(false, &[][..]), (true, &[]), (false, &[X]), (true, &[SSH, X])] {
            assert_eq!(decided(DialogMode::Always, terminal, vars), (true, true));
            assert_eq!(decided(DialogMode::Terminal, terminal, vars), (false, true));
            assert_eq!(decided(DialogMode::Never, terminal, vars), (false, false));
        }
    }
}
