//! `countersign send` where there is no gate.

use crate::support::*;

#[test]
fn a_dead_port_is_named() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("dev");
    let dir = path(&dir);
    good(&certs_dev(place.path(), &[]));
    let ca = format!("{dir}/ca.pem");
    let list = format!("{dir}/secrets.txt");
    // Bound but not listening: nobody else can take the port meanwhile.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let url = format!("--url=https://localhost:{port}/v1");
    let address = format!("--connect=127.0.0.1:{port}");
    let output = run(&[
        "send",
        "--key-id=pk_test_acme",
        "--secret-list",
        &list,
        "--ca",
        &ca,
        &url,
        &address,
    ]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("cannot connect to 127.0.0.1:{port}")), "{said}");
    assert!(said.contains("is the gate running there?"), "{said}");
}
