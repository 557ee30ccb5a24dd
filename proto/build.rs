//! Compiles every .proto of this folder, without protoc, into Rust and into one descriptor set that keeps our options.

use std::{env, fs, path::PathBuf};

use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, MethodDescriptor, Value};

/// A step of the build went wrong.
type Wrong = Box<dyn std::error::Error>;

fn main() -> Result<(), Wrong> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=guildhall");
    println!("cargo:rerun-if-changed=third_party");

    let mut compiler = protox::Compiler::new([root.clone(), root.join("third_party")])?;
    compiler.include_imports(true).include_source_info(true);
    for file in protos(&root.join("guildhall"))? {
        compiler.open_file(file)?;
    }
    // What errors carry: clients that learn our types by reflection can read it then.
    compiler.open_file(root.join("third_party/google/rpc/error_details.proto"))?;

    let all = compiler.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(all.as_slice())?;
    let kept = rewritten(&pool, &all, |file| {
        // What others write about their files nobody reads here; it is a third of the bytes.
        if !text(file, "package").starts_with("guildhall.") {
            file.clear_field_by_name("source_code_info");
        }
        true
    })?;
    let access = pool
        .get_extension_by_name("guildhall.options.v1.access")
        .ok_or("the descriptors lack guildhall.options.v1.access")?;
    let shown = rewritten(&pool, &kept, |file| keep_public(&pool, &access, file))?;
    fs::write(out.join("guildhall.binpb"), kept)?;
    fs::write(out.join("public.binpb"), shown)?;

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

/// A descriptor set with each file changed, and without those that `change` says no to. Files are handled as messages of a pool,
/// because a decoder with types of its own would lose our options.
fn rewritten(
    pool: &DescriptorPool,
    set: &[u8],
    change: impl FnMut(&mut DynamicMessage) -> bool,
) -> Result<Vec<u8>, Wrong> {
    let kind = pool
        .get_message_by_name("google.protobuf.FileDescriptorSet")
        .ok_or("the descriptors lack google/protobuf/descriptor.proto")?;
    let mut set = DynamicMessage::decode(kind, set)?;
    retain(&mut set, "file", change);
    Ok(prost::Message::encode_to_vec(&set))
}

/// Takes the rpcs that are for other services only out of a file, and services that have nothing else. Says whether there is still
/// something to show in the file.
fn keep_public(
    pool: &DescriptorPool,
    access: &ExtensionDescriptor,
    file: &mut DynamicMessage,
) -> bool {
    let had_services = messages(file, "service").next().is_some();
    let package = text(file, "package");
    for service in messages(file, "service") {
        let service_name = format!("{package}.{}", text(service, "name"));
        retain(service, "method", |method| {
            let found = pool.get_service_by_name(&service_name).and_then(|service| {
                let name = text(method, "name");
                service.methods().find(|method| method.name() == name)
            });
            found.is_some_and(|method| !is_internal(access, &method))
        });
    }
    retain(file, "service", |service| {
        messages(service, "method").next().is_some()
    });
    let file_name = text(file, "name");
    let is_imported = || {
        let mut importers = pool.files();
        importers.any(|file| file.dependencies().any(|one| one.name() == file_name))
    };
    !had_services || messages(file, "service").next().is_some() || is_imported()
}

/// Whether an rpc's option says that only services may call it.
fn is_internal(access: &ExtensionDescriptor, method: &MethodDescriptor) -> bool {
    let options = method.options();
    let access = options.get_extension(access);
    access
        .as_message()
        .is_some_and(|access| access.has_field_by_name("service"))
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    let text = value.as_ref().and_then(|value| value.as_str());
    text.unwrap_or_default().to_owned()
}

/// The messages of a list field, to be changed where they are.
fn messages<'m>(
    message: &'m mut DynamicMessage,
    field: &str,
) -> impl Iterator<Item = &'m mut DynamicMessage> {
    let value = message.get_field_by_name_mut(field);
    let list = value.and_then(Value::as_list_mut);
    list.into_iter().flatten().filter_map(Value::as_message_mut)
}

/// Keeps those messages of a list field that it says yes to.
fn retain(
    message: &mut DynamicMessage,
    field: &str,
    mut keep: impl FnMut(&mut DynamicMessage) -> bool,
) {
    let list = message
        .get_field_by_name_mut(field)
        .and_then(Value::as_list_mut);
    if let Some(list) = list {
        list.retain_mut(|value| value.as_message_mut().is_some_and(&mut keep));
    }
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
