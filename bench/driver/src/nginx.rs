//! nginx as a proxy: what a request pays for passing through a program that does nothing with it.

use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::error::{Error, Trying as _};

/// From its start to its first accept.
const START: Duration = Duration::from_secs(5);

/// A running nginx: one process, one worker. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Nginx {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Starts one before `upstream`, with kept-alive connections on both sides and no log.
    pub(crate) fn start(program: &Path, upstream: SocketAddr) -> Result<Self, Error> {
        let folder =
            tempfile::Builder::new().prefix("cxo-nginx").tempdir().trying("make a temporary folder")?;
        // nginx cannot be told to take any free port.
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).trying("find a free port")?;
        let configuration = format!(
            "worker_processes 1;\nmaster_process off;\ndaemon off;\npid nginx.pid;\nerror_log stderr crit;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n  access_log off;\n  tcp_nodelay on;\n  keepalive_requests 1000000000;\n\
             \x20 client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n\
             \x20 uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
             \x20 upstream backend {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
             \x20 server {{ listen {address}; location / {{\n    proxy_pass http://backend; proxy_http_version 1.1;\n\
             \x20   proxy_set_header Connection \"\";\n  }} }}\n}}\n"
        );
        let place = folder.path().join("nginx.conf");
        File::create(&place)
            .and_then(|mut file| file.write_all(configuration.as_bytes()))
            .trying("configure nginx")?;
        let child = Command::new(program)
            .args(["-e", "stderr", "-c"])
            .arg(&place)
            .arg("-p")
            .arg(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .trying("start nginx")?;
        let mut nginx = Self { address, child, _folder: folder };
        nginx.wait()?;
        Ok(nginx)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + START;
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().trying("start nginx")?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(Error::said("start nginx", format!("it does not listen ({ended:?})")));
            }
            crate::home::pause(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended already. The only process there is: without a master it has no worker to leave behind.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ended = kill_process(pid, Signal::KILL);
        }
        let _ended = self.child.wait();
    }
}
