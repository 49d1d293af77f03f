//! Services whose messages the generated code lacks, or has with types that cannot hold what
//! travels: their methods by name, with prost's codec.

/// Implements a gRPC service: each method's name, shape (of `tonic::server::Grpc`) and function.
macro_rules! service {
    ($type:ty, $name:literal, $($method:literal $shape:ident $function:ident,)+) => {
        impl tonic::server::NamedService for $type {
            const NAME: &'static str = $name;
        }

        impl $type {
            /// The paths of the methods that are served.
            #[allow(dead_code, reason = "a daemon that tests play lists none")]
            pub(crate) const METHODS: &'static [&'static str] =
                &[$(concat!("/", $name, "/", $method)),+];
        }

        impl tower::Service<tonic::codegen::http::Request<tonic::body::Body>> for $type {
            type Response = tonic::codegen::http::Response<tonic::body::Body>;
            type Error = std::convert::Infallible;
            type Future = futures_util::future::BoxFuture<
                'static,
                std::result::Result<Self::Response, Self::Error>,
            >;

            fn poll_ready(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::result::Result<(), Self::Error>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(
                &mut self,
                request: tonic::codegen::http::Request<tonic::body::Body>,
            ) -> Self::Future {
                let service = self.clone();
                Box::pin(async move {
                    let path = request.uri().path();
                    Ok(match path.rsplit('/').next().unwrap_or_default() {
                        $($method => {
                            let method = tower::service_fn(move |request| {
                                service.clone().$function(request)
                            });
                            let limit = Some(crate::client::MESSAGE_LIMIT);
                            let mut grpc = tonic::server::Grpc::new(
                                tonic_prost::ProstCodec::default(),
                            )
                            .apply_max_message_size_config(limit, limit);
                            grpc.$shape(method, request).await
                        })+
                        _ => {
                            let text = format!("{path} is not served");
                            tonic::Status::unimplemented(text).into_http()
                        }
                    })
                })
            }
        }
    };
}

pub(crate) use service;
