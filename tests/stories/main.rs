//! Stories: the real binary, in fresh folders, on loopback or in network namespaces of our own.
//!
//! | file | owns |
//! |---|---|
//! | `world` | folders, nodes and commands of one story, ended with it |
//! | `trees` | folders to share, and what they are compared by |
//! | `valve` | a way between two nodes that can be shut |
//! | `browser` | a headless Chromium, and what is seen, clicked and typed there |
//! | `http` | a client of HTTP that hides nothing |
//! | `terminal` | a command at a terminal, and what is seen and typed there |
//! | `system` | what only root can make: mounts, network namespaces, cgroups |
//! | the others | the stories, each with its topology drawn above it |
//!
//! Nothing sleeps for the sake of order: a story waits for a line or a state, with a deadline.

#![allow(clippy::unwrap_used, reason = "unwrap is how a test fails")]

mod any_folder;
mod attach;
mod browser;
mod catalogue;
mod clocks;
mod config;
mod containers;
mod data_folder;
mod dials;
mod disk;
mod doctor;
mod door;
mod downloads;
mod exchange;
mod folder_downloads;
mod folder_losses;
mod folders;
mod gateway;
mod gateway_places;
mod health;
mod http;
mod interrupt;
mod intruder;
mod json;
mod lan;
mod limits;
mod link;
mod logs;
mod loss;
mod manual;
mod mappings;
mod memory;
mod metrics;
#[path = "../peers/misnamer.rs"]
mod misnamer;
mod networks;
mod own_files;
mod page;
mod page_sessions;
mod ports;
mod power;
mod privacy;
mod refusals;
mod restart;
mod saved;
mod service;
mod share_states;
mod shell;
mod signals;
mod slow_disk;
mod swarm;
mod system;
mod targets;
mod terminal;
mod trees;
mod upgrade;
mod valve;
mod waiting;
mod walkthrough;
mod watch;
mod watching;
mod world;
mod writing;
