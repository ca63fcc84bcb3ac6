"""What packaging/check has in place of the network: services.py OUT CERTIFICATE KEY ADDRESS PORT JOURNAL

On ADDRESS, by HTTPS, the files of OUT, whatever folder they are asked in. On PORT of loopback an issuer that agrees to
everything and writes down what it was asked.
"""

import http.server
import pathlib
import ssl
import sys
import threading

out, certificate, key, address, port, journal = sys.argv[1:]


class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (pathlib.Path(out) / pathlib.PurePosixPath(self.path).name).read_bytes()
        answer(self, body)

    def log_message(self, *_):
        pass


class Issuer(Files):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with open(journal, "a") as file:
            file.write(f"{self.path}\n")
        answer(self, b"{}")

    do_GET = do_POST


def answer(request, body):
    request.send_response(200)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
files = http.server.ThreadingHTTPServer((address, 443), Files)
files.socket = context.wrap_socket(files.socket, server_side=True)
issuer = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Issuer)
threading.Thread(target=files.serve_forever, daemon=True).start()
print("ready", flush=True)
issuer.serve_forever()
