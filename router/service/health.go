package service

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

type healthCmd struct {
	Waiting bool `help:"Exit 0 too while a process that was ready waits for Kafka or the store, or recovers from such a wait: for the health check of a container."`
}

// Run asks /readyz, or /healthz with --waiting, of the running process with the same configuration.
func (c healthCmd) Run(in *invocation) error {
	cfg, err := in.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(in.ctx, 5*time.Second)
	defer cancel()
	client, err := healthClient(cfg.TLS.Cert)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	path := "/readyz"
	if c.Waiting {
		path = "/healthz"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, httpURL(cfg, cfg.Admin.Address)+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("not running: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(in.stdout, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New("not ready")
	}
	return nil
}

// dialable is the address at which a listening process is reached from the same
// machine.
func dialable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

var errOtherCertificate = errors.New("the process shows another certificate than the one of this configuration")

// healthClient trusts the configured certificate itself. The name in the
// certificate does not matter, because the process is asked at localhost.
func healthClient(certFile string) (*http.Client, error) {
	if certFile == "" {
		return new(http.Client), nil
	}
	text, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("there is no certificate in %s", certFile)
	}
	pinned := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // what follows is stricter
		VerifyPeerCertificate: func(shown [][]byte, _ [][]*x509.Certificate) error {
			if len(shown) == 0 || !bytes.Equal(shown[0], block.Bytes) {
				return errOtherCertificate
			}
			return nil
		},
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: pinned}}, nil
}
