//! The testbed's routes on actix-web.

use std::io;
use std::net::TcpListener;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::TryStreamExt;
use testbed_frameworks::{Answer, Asked, Content, Options, announce, answer};

#[actix_web::main]
async fn main() -> io::Result<()> {
    let options = Options::read();
    let server = HttpServer::new(|| App::new().default_service(web::to(handle))).disable_signals();
    if let Some(path) = &options.unix {
        let server = server.bind_uds(path)?;
        announce(path.display())?;
        server.run().await
    } else {
        let listener = TcpListener::bind(options.address()?)?;
        let address = listener.local_addr()?;
        let server = server.listen(listener)?;
        announce(address)?;
        server.run().await
    }
}

async fn handle(request: HttpRequest, body: web::Payload) -> HttpResponse {
    let asked = Asked::new(request.path(), |name| {
        Some(request.headers().get(name)?.to_str().ok()?.to_owned())
    });
    match answer(asked, body.map_ok(|piece| piece.len())).await {
        Ok(answer) => response(answer),
        Err(_) => HttpResponse::BadRequest().finish(),
    }
}

fn response(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if let Some((name, value)) = answer.header {
        response.insert_header((name.as_str(), value));
    }
    match answer.content {
        Content::Whole(bytes) => response.body(bytes),
        Content::Promised(len, pieces) => response.body(SizedStream::new(len, pieces)),
        Content::Chunked(pieces) => response.streaming(pieces),
    }
}
