//! Command lines as they are typed.

use clap::CommandFactory;

use super::*;

fn read<A: Args>(line: &[&str]) -> Result<A, clap::Error> {
    let command = A::augment_args(clap::Command::new("test"));
    A::from_arg_matches(&command.try_get_matches_from([&["test"], line].concat())?)
}

/// The help of a command, once clap has found nothing wrong with its definition.
fn help<A: Args>() -> String {
    let mut command = A::augment_args(clap::Command::new("test"));
    command.clone().debug_assert();
    command.render_long_help().to_string()
}

#[test]
fn definitions_hold_and_every_help_has_examples() {
    Cli::command().debug_assert();
    let helps = [
        help::<ServeArgs>(),
        help::<DemoArgs>(),
        help::<CheckArgs>(),
        help::<StatusArgs>(),
        help::<ReloadArgs>(),
        help::<RefreshArgs>(),
        help::<FlushArgs>(),
        help::<LagArgs>(),
        help::<WaitArgs>(),
        Cli::command().render_long_help().to_string(),
    ];
    for help in &helps {
        assert!(help.contains("\nExamples:\n  tidemark "), "{help}");
    }
    for command in Cli::command().get_subcommands_mut() {
        assert!(
            command.render_help().to_string().contains("\nExamples:\n  tidemark "),
            "{}",
            command.get_name()
        );
    }
    for help in [&helps[3], &helps[4], &helps[5], &helps[6], &helps[7], &helps[8]] {
        assert!(help.contains("\nExit status: 0"), "{help}");
    }
    assert!(
        helps[0].contains("\n\n  [server]\n  listen   = "),
        "the reference is in the help of serve:\n{}",
        helps[0]
    );
}

#[test]
fn serve_takes_a_configuration_or_files() {
    assert!(read::<ServeArgs>(&["--config", "t.toml"]).is_ok());
    let args: ServeArgs = read(&["--listen", "127.0.0.1:5300", "a.zone", "b.zone"]).unwrap();
    assert_eq!(args.zone_files.len(), 2);
    let bad: [&[&str]; 5] = [
        &[],
        &["a.zone"],
        &["--listen", "127.0.0.1:5300"],
        &["--listen", "127.0.0.1", "a.zone"],
        &["--config", "t.toml", "--listen", "127.0.0.1:5300", "a.zone"],
    ];
    for line in bad {
        assert!(read::<ServeArgs>(line).is_err(), "{line:?}");
    }
}

#[test]
fn bad_values_are_told_with_what_to_write() {
    let told = read::<ServeArgs>(&["--listen", "127.0.0.1", "a.zone"]).unwrap_err().to_string();
    assert!(told.contains("add the port: `127.0.0.1:53`"), "{told}");
    let told = read::<WaitArgs>(&["example.", "--at", "::1", "--timeout", "60"]).unwrap_err().to_string();
    assert!(told.contains("for example `30s`"), "{told}");
}

#[test]
fn wait_takes_servers_in_one_flag_or_several() {
    let args: WaitArgs =
        read(&["example.org", "--serial", "7", "--at", "192.0.2.1", "[::1]:5300", "--at", "192.0.2.2:5302"])
            .unwrap();
    assert_eq!(args.zone, "example.org.".parse().unwrap());
    assert_eq!(args.at.len(), 3);
    assert_eq!((args.scope, args.timeout), (Scope::Authoritative, Duration::from_secs(60)));
    let args: WaitArgs =
        read(&["e.", "--record", "www.e. A 192.0.2.80", "--at", "::1", "--scope", "worst-case"]).unwrap();
    assert_eq!((args.record.as_deref(), args.scope), (Some("www.e. A 192.0.2.80"), Scope::WorstCase));
    assert!(read::<WaitArgs>(&["e.", "--serial", "7"]).is_err());
    assert!(read::<WaitArgs>(&["e.", "--serial", "7", "--record", "e. A ::", "--at", "::1"]).is_err());
}

#[test]
fn lag_asks_a_node_or_servers() {
    assert!(read::<LagArgs>(&[]).is_ok());
    assert!(read::<LagArgs>(&["example.", "--at", "127.0.0.1:5301", "127.0.0.1:5302", "--watch"]).is_ok());
    assert!(read::<LagArgs>(&["--at", "127.0.0.1"]).is_err());
    assert!(read::<LagArgs>(&["--config", "a", "--control", "b"]).is_err());
}

#[test]
fn colour_may_stand_anywhere() {
    for line in [["tidemark", "--colour", "never", "man"], ["tidemark", "man", "--color", "never"]] {
        assert_eq!(Cli::try_parse_from(line).unwrap().colour, Colour::Never);
    }
    assert!(Cli::try_parse_from(["tidemark", "--colour", "blue", "man"]).is_err());
}
