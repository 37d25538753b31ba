// A ReverseProxy of Go's standard library behind TLS that demands a client certificate: how Mender Gateway is built.
//
//	reverseproxy ADDRESS UPSTREAM CERTIFICATE KEY CA
package main

import (
	"crypto/tls"
	"crypto/x509"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	if len(os.Args) != 6 {
		log.Fatal("usage: reverseproxy ADDRESS UPSTREAM CERTIFICATE KEY CA")
	}
	address, certificate, key := os.Args[1], os.Args[3], os.Args[4]
	upstream, err := url.Parse(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	trusted, err := os.ReadFile(os.Args[5])
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(trusted) {
		log.Fatal("no CA in ", os.Args[5])
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 100
	transport.DisableCompression = true
	server := &http.Server{
		Addr: address,
		Handler: &httputil.ReverseProxy{
			Rewrite: func(request *httputil.ProxyRequest) {
				request.SetURL(upstream)
				request.SetXForwarded()
			},
			Transport: transport,
		},
		TLSConfig: &tls.Config{
			MinVersion:             tls.VersionTLS12,
			ClientAuth:             tls.RequireAndVerifyClientCert,
			ClientCAs:              pool,
			SessionTicketsDisabled: true,
		},
		ErrorLog: log.New(os.Stderr, "", 0),
	}
	log.Fatal(server.ListenAndServeTLS(certificate, key))
}
