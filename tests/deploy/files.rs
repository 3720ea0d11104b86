//! What can be said of the files as they lie there.

use crate::{
    objects::{self, ours, pod, text, title},
    render::project,
};
use gapless::{cli::Serve, config::Config};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every YAML file below `deploy/`, but for Helm's templates, which are no YAML yet.
fn files() -> Vec<PathBuf> {
    let (mut found, mut open) = (vec![], vec![project("deploy")]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("templates") {
                open.push(path);
            } else if path.extension().is_some_and(|it| it == "yaml") {
                found.push(path);
            }
        }
    }
    found
}

fn is_configuration(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "config.yaml")
        || file.parent().unwrap().ends_with("config")
}

#[test]
fn every_manifest_is_yaml_and_every_configuration_is_accepted() {
    let files = files();
    let configurations = files.iter().filter(|file| is_configuration(file)).count();
    assert!(configurations >= 4 && files.len() >= 20, "{files:?}");
    for file in files {
        let name = file.display();
        if is_configuration(&file) {
            let config = Config::load(Some(&file), &Serve::default());
            config.unwrap_or_else(|error| panic!("{name}: {error}"));
        } else {
            let documents = objects::parse(&fs::read_to_string(&file).unwrap());
            let documents = documents.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!documents.is_empty(), "{name} is empty");
        }
    }
}

#[test]
fn every_manifest_names_the_image_of_this_version() {
    let mut images = 0;
    for file in files() {
        for object in objects::parse(&fs::read_to_string(&file).unwrap()).unwrap() {
            for container in pod(&object).iter().flat_map(ours) {
                let expected = concat!("gapless:", env!("CARGO_PKG_VERSION"));
                assert_eq!(text(container, "/image"), expected, "{}", title(&object));
                images += 1;
            }
        }
    }
    assert!(images >= 3, "{images}");
}
