//! Stories: the real program in new folders, on loopback or in network namespaces of their own.
//!
//! | file | owns |
//! |---|---|
//! | `world` | folders, nodes and commands of one story, which end with it |
//! | `trees` | folders to share, and their comparison |
//! | `valve` | a proxy between two nodes, which can hold back bytes |
//! | `browser` | a headless Chromium: clicks, keys, and what is visible |
//! | `http` | an HTTP client that changes neither requests nor responses |
//! | `terminal` | a command at a terminal: its input and output |
//! | `system` | what requires root: mounts, disks, cgroups |
//! | `namespaces` | network namespaces, which require root |
//! | `lab` | routers of all kinds between hosts, each proven by plain sockets |
//! | the others | the stories, each with its topology drawn above it |
//!
//! Stories never sleep to get steps into order: they wait for a line or a state, with a deadline.

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
mod downloads;
mod every_day;
mod exchange;
mod folder_downloads;
mod folder_losses;
mod folders;
mod gateway;
mod gateway_connections;
mod groups;
mod health;
mod http;
mod interrupt;
mod intruder;
mod json;
mod lab;
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
mod namespaces;
mod networks;
mod own_files;
mod packages;
mod page;
mod page_groups;
mod page_sessions;
mod ports;
mod power;
mod privacy;
mod private_network;
mod proxy;
mod refusals;
mod restart;
mod saved;
mod service;
mod share_states;
mod shell;
mod sign_in;
mod signals;
mod slow_disk;
mod swarm;
mod system;
mod targets;
mod terminal;
mod trees;
mod upgrade;
mod uploads;
mod users;
mod valve;
mod waiting;
mod walkthrough;
mod watch;
mod watching;
mod web;
mod world;
mod writing;
