//! Which unit of systemd and which container a process belongs to, from the
//! names of its control group (`/proc/PID/cgroup`, cgroups(7)). A name that is
//! not known to be one is none.

use std::fs;

/// Where a process belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The innermost unit, a service or a scope, by its whole name; the scope of a
    /// container is none.
    pub unit: Option<String>,
    /// The innermost container.
    pub container: Option<Container>,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its number, whole, as the runtime knows it; of LXC its name.
    pub id: String,
    /// What runs it.
    pub runtime: &'static str,
}

/// How runtimes name the scope of a container (with the systemd driver): what
/// stands before its number.
const SCOPES: [(&str, &str); 4] = [
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("crio-", "cri-o"),
    ("libpod-", "podman"),
];

impl Origin {
    /// That of a process that runs.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let table = fs::read_to_string(format!("/proc/{pid}/cgroup"));
        Self::parse(&table.unwrap_or_default())
    }

    /// From the text of `/proc/PID/cgroup`: by the hierarchy of version 2, else
    /// by that of systemd, else by any.
    #[must_use]
    pub fn parse(table: &str) -> Self {
        let mut rows: Vec<_> = table
            .lines()
            .filter_map(|line| {
                let mut fields = line.splitn(3, ':');
                let (number, controllers) = (fields.next()?, fields.next()?);
                let rank = match (number, controllers) {
                    ("0", "") => 0,
                    (_, "name=systemd") => 1,
                    _ => 2,
                };
                Some((rank, fields.next()?))
            })
            .collect();
        rows.sort_by_key(|(rank, _)| *rank);
        let mut origin = Self::default();
        for (_, path) in rows {
            let found = Self::of_path(path);
            origin.unit = origin.unit.or(found.unit);
            origin.container = origin.container.or(found.container);
        }
        origin
    }

    fn of_path(path: &str) -> Self {
        let names: Vec<_> = path.split('/').filter(|name| !name.is_empty()).collect();
        let mut origin = Self::default();
        for (at, name) in names.iter().enumerate() {
            let above = names.get(..at).unwrap_or_default();
            if let Some(container) = container(name, above) {
                origin.container = Some(container);
            }
            let scope = name.strip_suffix(".scope");
            // One that a runtime made for a container, or for what watches over it.
            let of_container = scope.is_some_and(|name| name.rsplit('-').next().is_some_and(is_id));
            if name.ends_with(".service") || (scope.is_some() && !of_container) {
                // systemd puts one before names that the kernel could take for
                // its own files (cg_escape).
                let name = name.strip_prefix('_').unwrap_or(name);
                origin.unit = Some(name.to_owned());
            }
        }
        origin
    }

    /// The unit as a label of metrics: as few values as there are services, not
    /// one per session, run or container.
    #[must_use]
    pub fn label(&self) -> &str {
        let Some(unit) = self.unit.as_deref() else {
            return self.container.as_ref().map_or("", |it| it.runtime);
        };
        match unit.rsplit_once('.') {
            Some((name, "scope")) if name.starts_with("session-") => "session.scope",
            Some((name, _)) if name.starts_with("run-") => "systemd-run",
            _ => unit,
        }
    }
}

/// The container that a control group of this name, below these, is.
fn container(name: &str, above: &[&str]) -> Option<Container> {
    let found = |id: &str, runtime| {
        is_id(id).then(|| Container {
            id: id.to_owned(),
            runtime,
        })
    };
    // With the systemd driver a scope, with the other a plain group: as in
    // libpod-ID, or PARENT:cri-containerd:ID.
    let plain = name.strip_suffix(".scope").unwrap_or(name);
    for (start, runtime) in SCOPES {
        if let Some(id) = plain.strip_prefix(start) {
            return found(id, runtime);
        }
    }
    if let Some((_, id)) = plain.rsplit_once(":cri-containerd:") {
        return found(id, "containerd");
    }
    if let Some(name) = plain.strip_prefix("lxc.payload.") {
        return Some(Container {
            id: name.to_owned(),
            runtime: "lxc",
        });
    }
    match above.last() {
        Some(&"docker") => found(plain, "docker"),
        // A pod's containers, whatever runs them.
        Some(parent) if parent.starts_with("pod") && above.contains(&"kubepods") => {
            found(plain, "kubernetes")
        }
        _ => None,
    }
}

/// 64 hexadecimal digits, as all of them number their containers.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// The table, the unit, the container's runtime, the label.
    type Row = (
        String,
        Option<&'static str>,
        Option<&'static str>,
        &'static str,
    );

    #[test]
    fn units_and_containers_are_told_by_their_names() {
        let rows: Vec<Row> = vec![
            (String::new(), None, None, ""),
            ("0::/\n".to_owned(), None, None, ""),
            (
                "0::/init.scope".to_owned(),
                Some("init.scope"),
                None,
                "init.scope",
            ),
            (
                "0::/system.slice/nginx.service".to_owned(),
                Some("nginx.service"),
                None,
                "nginx.service",
            ),
            (
                "0::/system.slice/system-web.slice/web@1.service/sub".to_owned(),
                Some("web@1.service"),
                None,
                "web@1.service",
            ),
            (
                "0::/system.slice/_cgroup.service".to_owned(),
                Some("cgroup.service"),
                None,
                "cgroup.service",
            ),
            (
                "0::/user.slice/user-1000.slice/session-3.scope".to_owned(),
                Some("session-3.scope"),
                None,
                "session.scope",
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/api.service".to_owned(),
                Some("api.service"),
                None,
                "api.service",
            ),
            (
                "0::/system.slice/run-r1a2b.scope".to_owned(),
                Some("run-r1a2b.scope"),
                None,
                "systemd-run",
            ),
            // Version 1: the hierarchy of systemd before those of controllers.
            (
                "12:memory:/system.slice\n1:name=systemd:/system.slice/nginx.service\n0::/"
                    .to_owned(),
                Some("nginx.service"),
                None,
                "nginx.service",
            ),
            (
                format!("5:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}"),
                None,
                Some("docker"),
                "docker",
            ),
            (
                format!("0::/system.slice/docker-{ID}.scope"),
                None,
                Some("docker"),
                "docker",
            ),
            (format!("0::/docker/{ID}"), None, Some("docker"), "docker"),
            // systemd in a container: both.
            (
                format!("0::/system.slice/docker-{ID}.scope/system.slice/nginx.service"),
                Some("nginx.service"),
                Some("docker"),
                "nginx.service",
            ),
            (
                format!(
                    "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-{ID}.scope"
                ),
                None,
                Some("containerd"),
                "containerd",
            ),
            (
                format!("0::/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope/container"),
                None,
                Some("cri-o"),
                "cri-o",
            ),
            (
                format!("0::/kubepods/burstable/pod1f0c-22/{ID}"),
                None,
                Some("kubernetes"),
                "kubernetes",
            ),
            (
                format!(
                    "0::/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:{ID}"
                ),
                Some("containerd.service"),
                Some("containerd"),
                "containerd.service",
            ),
            (
                format!("0::/machine.slice/libpod-{ID}.scope/container"),
                None,
                Some("podman"),
                "podman",
            ),
            (
                format!("0::/libpod_parent/libpod-{ID}"),
                None,
                Some("podman"),
                "podman",
            ),
            (
                "0::/lxc.payload.web/system.slice/cron.service".to_owned(),
                Some("cron.service"),
                Some("lxc"),
                "cron.service",
            ),
            // Seen from a control group namespace of our own.
            (
                format!("0::/../../kubepods-pod1.slice/cri-containerd-{ID}.scope"),
                None,
                Some("containerd"),
                "containerd",
            ),
            // What watches over a container is not in it, and no number is none.
            (
                format!("0::/machine.slice/libpod-conmon-{ID}.scope"),
                None,
                None,
                "",
            ),
            (
                "0::/system.slice/docker-compose.scope".to_owned(),
                Some("docker-compose.scope"),
                None,
                "docker-compose.scope",
            ),
            (format!("0::/somebody/{ID}"), None, None, ""),
            ("nonsense\n::\n0:".to_owned(), None, None, ""),
        ];
        for (table, unit, runtime, label) in rows {
            let origin = Origin::parse(&table);
            let found = origin.container.as_ref().map(|it| it.runtime);
            assert_eq!(found, runtime, "{table}");
            assert_eq!(origin.unit.as_deref(), unit, "{table}");
            assert_eq!(origin.label(), label, "{table}");
        }
    }

    #[test]
    fn this_process_has_one_or_none_and_none_is_guessed() {
        let own = Origin::of(std::process::id());
        let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        assert!(own.unit.is_none_or(|unit| text.contains(&unit)));
        assert_eq!(Origin::of(4_194_305), Origin::default());
    }
}
