//! `[[listener]]` and its tables, as written.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::bounds::pem_file;
use crate::config::explain::Span;
use crate::config::plan::UnknownNames;
use crate::config::reader::{Table, Written};
use crate::config::scalar::{text, word};
use crate::config::syntax;

const UNKNOWN_NAMES: [(&str, UnknownNames); 2] = [("default", UnknownNames::Default), ("refuse", UnknownNames::Refuse)];

const CLIENT_CERTIFICATES: [(&str, Ask); 3] =
    [("off", Ask::Off), ("optional", Ask::Optional), ("required", Ask::Required)];

/// Whether a listener expects the PROXY protocol.
const PROXY_PROTOCOL: [(&str, bool); 2] = [("off", false), ("v1v2", true)];

/// `[[listener]]`
#[derive(Debug)]
pub(in crate::config) struct Listener {
    pub(in crate::config) address: Option<Written<SocketAddr>>,
    pub(in crate::config) tls: Option<Tls>,
    pub(in crate::config) tls_is_written: bool,
    pub(in crate::config) proxy_protocol: Option<Written<bool>>,
    /// Beside that of `tls`.
    pub(in crate::config) certificates: Vec<CertificateFiles>,
}

/// `[listener.tls]`
#[derive(Debug)]
pub(in crate::config) struct Tls {
    pub(in crate::config) first: CertificateFiles,
    pub(in crate::config) unknown_names: UnknownNames,
    pub(in crate::config) client_certificates: Option<Written<Ask>>,
    pub(in crate::config) client_certificates_is_written: bool,
    pub(in crate::config) client_ca: Option<Written<PathBuf>>,
    pub(in crate::config) client_ca_is_written: bool,
}

/// A chain and its key: `[[listener.certificate]]`, and the first two keys of `[listener.tls]`.
#[derive(Debug)]
pub(in crate::config) struct CertificateFiles {
    pub(in crate::config) span: Span,
    pub(in crate::config) certificate: Option<Written<PathBuf>>,
    pub(in crate::config) key: Option<Written<PathBuf>>,
}

/// Whether clients are asked for certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Ask {
    Off,
    Optional,
    Required,
}

impl Listener {
    pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            address: table.required("address", text("an IP address and a port", syntax::socket_address)),
            tls: table.table("tls", "[listener.tls]", Tls::read),
            tls_is_written: table.has("tls"),
            proxy_protocol: table
                .optional("proxy_protocol", text("\"off\" or \"v1v2\"", |found| word(found, &PROXY_PROTOCOL))),
            certificates: table.tables("certificate", "[[listener.certificate]]", CertificateFiles::read),
        }
    }
}

impl Tls {
    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        let ask = text("\"off\", \"optional\" or \"required\"", |found| word(found, &CLIENT_CERTIFICATES));
        let unknown = text("\"default\" or \"refuse\"", |found| word(found, &UNKNOWN_NAMES));
        Self {
            first: CertificateFiles::read(table),
            unknown_names: table.or("unknown_names", UnknownNames::Default, unknown),
            client_certificates: table.optional("client_certificates", ask),
            client_certificates_is_written: table.has("client_certificates"),
            client_ca: table.optional("client_ca", pem_file),
            client_ca_is_written: table.has("client_ca"),
        }
    }
}

impl CertificateFiles {
    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            span: table.span(),
            certificate: table.required("certificate", pem_file),
            key: table.required("key", pem_file),
        }
    }
}
