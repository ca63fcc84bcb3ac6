//! The one thing to do after an error, worded for where it is read.

use serde::{Deserialize, Serialize};

use crate::env::HOME;

/// Where a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// Inside Claude Code: commands of the plugin.
    ClaudeCode,
    /// In a terminal: commands of `codex-oauth`.
    Shell,
}

/// The next step: `{"do":"login"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum NextStep {
    /// Sign in.
    Login,
    /// Sign in anew and choose another workspace: the one in use is closed, or not the configured one.
    OtherWorkspace,
    /// Do the same again; nothing was lost.
    Retry,
    /// Do the same again, not before `seconds` have passed.
    RetryIn {
        /// Seconds to wait.
        seconds: u64,
    },
    /// Decide whether to ask again: the first time may have been carried out.
    AskAgain,
    /// Pick a model from the live list.
    ListModels,
    /// Say it in fewer words.
    ShortenPrompt,
    /// Ask something else, or ask it differently: the same question ends the same way.
    Rephrase,
    /// Correct the named argument.
    FixArguments,
    /// Look at the plan and its limits.
    CheckPlan,
    /// Look at the network, the proxy, the CA.
    CheckNetwork,
    /// Repair or move away a file of the person's.
    FixFile {
        /// Its path.
        path: String,
    },
    /// Free some space on a disk.
    FreeSpace {
        /// A folder on it.
        path: String,
    },
    /// Make a folder of the person's own writable.
    MakeWritable {
        /// Its path.
        path: String,
    },
    /// Set a configuration value.
    FixConfiguration {
        /// The environment variable or key.
        name: String,
    },
    /// Set a configuration value that the running daemon has read already.
    Reconfigure {
        /// The environment variable, or the key and its file.
        name: String,
    },
    /// Look at an address that the configuration names in place of OpenAI's: nothing answers there.
    CheckAddress {
        /// The environment variable, or the key and its file.
        name: String,
    },
    /// Have permissions of our own folders set right.
    Mend,
    /// End a process that listens in the daemon's place, or a daemon that hangs.
    EndProcess {
        /// Its id, as the kernel says.
        pid: u32,
    },
    /// Come from another network: this one is kept out.
    OtherNetwork,
    /// Set the clock of this machine.
    SetClock,
    /// Install the newer build and restart what is old.
    Upgrade,
    /// Start the daemon by hand to see why it does not start.
    RunDaemon,
    /// Start the daemon by hand, or let it be started: `CODEX_OAUTH_NO_SPAWN` forbids it.
    AllowSpawn,
    /// Read the daemon's log.
    ReadLog {
        /// Its path.
        path: String,
    },
    /// Let the service manager start the daemon, which any use does, or remove the service.
    UseService,
    /// Do without a service.
    NoService,
    /// Name an account that there is, or choose another one.
    ChooseAccount,
    /// Make an account that is signed in the default one: the default one is not.
    UseAccount {
        /// The account's.
        name: String,
    },
    /// Sign in, or out, with the Codex CLI itself, or use a login of our own.
    UseCodexCli,
    /// A step that this build does not know.
    #[serde(other)]
    Unknown,
}

impl NextStep {
    /// The step as a sentence without a full stop, ready to stand after `next: `.
    pub fn render(&self, surface: Surface) -> String {
        let pick = |claude: &str, shell: &str| match surface {
            Surface::ClaudeCode => claude.to_owned(),
            Surface::Shell => shell.to_owned(),
        };
        match self {
            Self::Login => pick("run /codex-oauth:codex-config to sign in", "run `codex-oauth login`"),
            Self::OtherWorkspace => pick(
                "run /codex-oauth:codex-config to sign in, and choose another workspace",
                "run `codex-oauth login`, and choose another workspace",
            ),
            Self::Retry => "try again".to_owned(),
            Self::RetryIn { seconds } => format!("try again in {}", duration(*seconds)),
            Self::AskAgain => {
                "ask again if you did not get the answer; the first question may have been charged".to_owned()
            }
            Self::ListModels => {
                pick("call codex_models for the live list", "run `codex-oauth models` for the live list")
            }
            Self::ShortenPrompt => "send a shorter prompt".to_owned(),
            Self::Rephrase => "ask it differently".to_owned(),
            Self::FixArguments => {
                pick("correct the argument and call again", "correct the argument and run it again")
            }
            Self::CheckPlan => "look at your plan and limits on chatgpt.com under Settings, Usage".to_owned(),
            Self::CheckNetwork => pick(
                "run /codex-oauth:codex-doctor to see what is in the way",
                "run `codex-oauth doctor` to see what is in the way",
            ),
            Self::FixFile { path } => format!("repair or move away `{path}`, then try again"),
            Self::FreeSpace { path } => format!("free some space on the disk of `{path}`, then try again"),
            Self::MakeWritable { path } if cfg!(windows) => {
                format!("make `{path}` writable for you, then try again")
            }
            Self::MakeWritable { path } => {
                format!("make the folder writable (`chmod u+rwx {path}`), then try again")
            }
            // No value of it is wrong: there is none, or it leads nowhere.
            Self::FixConfiguration { name } if name == HOME => {
                format!("set {HOME} to your home folder, then try again")
            }
            Self::FixConfiguration { name } => format!("correct {name}, then try again"),
            Self::Reconfigure { name } => format!("set {name}, then run `codex-oauth daemon stop`"),
            Self::CheckAddress { name } => {
                format!("check the address in {name}, then run `codex-oauth daemon stop`")
            }
            Self::Mend => {
                pick("run /codex-oauth:codex-doctor fix", "run `codex-oauth doctor --fix`, then try again")
            }
            Self::EndProcess { pid } => format!("end process {pid} (`{}`), then try again", kill(*pid)),
            Self::OtherNetwork => {
                "try from another network, or without the VPN; nothing is wrong with the login".to_owned()
            }
            Self::SetClock => "set the clock of this machine right, then try again".to_owned(),
            Self::Upgrade => pick(
                "install the newest version of codex-oauth, then restart Claude Code",
                "install the newest version, then run `codex-oauth daemon stop`",
            ),
            Self::RunDaemon => {
                "run `codex-oauth daemon run` in a terminal to see why it does not start".to_owned()
            }
            Self::AllowSpawn => {
                "unset CODEX_OAUTH_NO_SPAWN, or start the daemon with `codex-oauth daemon run`".to_owned()
            }
            Self::ReadLog { path } => format!("read the end of `{path}`"),
            Self::UseService => {
                "just use it, or remove the service: `codex-oauth service uninstall`".to_owned()
            }
            Self::NoService => "nothing: without a service whoever needs the daemon starts it".to_owned(),
            Self::ChooseAccount => pick(
                "ask the user which account to use; `codex-oauth account list` shows them",
                "look at `codex-oauth account list`",
            ),
            Self::UseAccount { name } => pick(
                &format!("ask the user whether to use the account {name}: `codex-oauth account use {name}`"),
                &format!("run `codex-oauth account use {name}`"),
            ),
            Self::UseCodexCli => {
                "use the Codex CLI once, or sign in on your own: `codex-oauth login --account NAME`"
                    .to_owned()
            }
            Self::Unknown => "update codex-oauth: this step is of a newer version".to_owned(),
        }
    }
}

/// What ends a process that may be frozen: a signal that it would have to see to waits with it.
fn kill(pid: u32) -> String {
    if cfg!(windows) { format!("taskkill /F /PID {pid}") } else { format!("kill -9 {pid}") }
}

/// `90` → `2 min`: rounded up, because too early is refused again.
fn duration(seconds: u64) -> String {
    match seconds {
        0..=90 => format!("{seconds} s"),
        91..=5_400 => format!("{} min", seconds.div_ceil(60)),
        5_401..=172_800 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_names_the_command_of_its_surface() {
        assert!(NextStep::Login.render(Surface::ClaudeCode).contains("/codex-oauth:codex-config"));
        assert!(NextStep::Login.render(Surface::Shell).contains("codex-oauth login"));
    }

    #[test]
    fn a_step_of_a_newer_version_is_read_as_unknown() {
        let step: NextStep = serde_json::from_str(r#"{"do":"buy_a_hat","size":7}"#).unwrap();
        assert_eq!(step, NextStep::Unknown);
    }

    #[test]
    fn waiting_times_are_rounded_up_to_what_a_person_reads() {
        for (seconds, text) in [(3, "3 s"), (90, "90 s"), (91, "2 min"), (7_000, "2 h"), (400_000, "5 days")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
