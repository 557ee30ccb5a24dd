//! Compiles every .proto of this folder, without protoc, into Rust and into one descriptor set that keeps our options.

use std::{env, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=guildhall");
    println!("cargo:rerun-if-changed=third_party");

    let mut compiler = protox::Compiler::new([root.clone(), root.join("third_party")])?;
    compiler.include_imports(true).include_source_info(true);
    for file in protos(&root.join("guildhall"))? {
        compiler.open_file(file)?;
    }

    fs::write(
        out.join("guildhall.binpb"),
        compiler.encode_file_descriptor_set(),
    )?;

    let mut set = compiler.file_descriptor_set();
    // Rust code needs no types of google.api and buf.validate: their options are read from the descriptors.
    set.file.retain(|file| {
        file.package().starts_with("guildhall.") || file.package() == "google.protobuf"
    });
    // Messages know their full names: event subjects are derived from them.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure().compile_fds_with_config(set, config)?;
    Ok(())
}

fn protos(folder: &PathBuf) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else if path.extension().is_some_and(|end| end == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
