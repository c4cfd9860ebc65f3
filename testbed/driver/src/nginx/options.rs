//! How an nginx is to be started, and its configuration.

use std::path::Path;

use crate::client::Addr;

/// How an nginx is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Worker processes, beside the master.
    pub workers: usize,
    /// More directives for the `server` block, as nginx.conf would have them.
    pub server: String,
    /// More directives for the `http` block: an `upstream`, for one.
    pub http: String,
    /// A command that becomes nginx, with its arguments: `strace -D …`.
    pub under: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 1,
            server: String::new(),
            http: String::new(),
            under: Vec::new(),
        }
    }
}

impl Options {
    /// One worker that serves files, and passes on what is asked of `/proxy/` to `backend` with
    /// that prefix removed, by HTTP/1.1 over connections that it keeps.
    pub fn proxy(backend: &Addr) -> Self {
        let backend = match backend {
            Addr::Tcp(addr) => addr.to_string(),
            Addr::Unix(path) => format!("unix:{}", path.display()),
        };
        Self {
            http: format!("upstream backend {{ server {backend}; keepalive 8; }}"),
            server: "location /proxy/ {
            proxy_pass http://backend/;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            client_max_body_size 0;
        }"
            .to_owned(),
            ..Self::default()
        }
    }
}

/// nginx.conf for a private folder.
pub(super) fn configuration(folder: &Path, port: u16, options: &Options) -> String {
    let folder = folder.display();
    let Options {
        workers,
        server,
        http,
        ..
    } = options;
    // The workers must be able to read a folder with mode 0700, hence the same user.
    format!(
        "user root;
daemon off;
master_process on;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    client_body_temp_path {folder}/temp/client;
    proxy_temp_path {folder}/temp/proxy;
    fastcgi_temp_path {folder}/temp/fastcgi;
    uwsgi_temp_path {folder}/temp/uwsgi;
    scgi_temp_path {folder}/temp/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port};
        listen unix:{folder}/nginx.sock;
        root {folder}/root;
        {server}
    }}
}}
"
    )
}
