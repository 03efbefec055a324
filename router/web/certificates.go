package web

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is the least time between two checks for changed files.
const lookEvery = time.Second

// Certificates has the server's certificate, and the authority of client
// certificates if callers need a certificate. Changed files are read again. If a
// changed file can't be read, the log says so, and the old certificates stay in
// use.
type Certificates struct {
	certFile, keyFile, clientCAFile string
	log                             *slog.Logger

	mu     sync.Mutex
	looked time.Time
	states [3]fileState
	cert   tls.Certificate
	callCA *x509.CertPool // nil if callers need no certificate
}

// fileState has the attributes that change when a file is written.
type fileState struct {
	size     int64
	modified time.Time
}

// LoadCertificates reads three PEM files: a certificate chain, the chain's key,
// and the authority of client certificates ("" for none).
func LoadCertificates(certFile, keyFile, clientCAFile string, log *slog.Logger) (*Certificates, error) {
	c := &Certificates{certFile: certFile, keyFile: keyFile, clientCAFile: clientCAFile, log: log, looked: time.Now()}
	c.states = c.look()
	if err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// Server returns the TLS configuration of a server: TLS 1.2 or 1.3, with forward
// secrecy and authenticated encryption. With an authority for callers, demand
// says whether a caller needs a certificate.
func (c *Certificates) Server(demand tls.ClientAuthType) *tls.Config {
	base := c.config(demand)
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.config(demand), nil }
	return base
}

func (c *Certificates) config(demand tls.ClientAuthType) *tls.Config {
	cert, callCA := c.current()
	config := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
		CipherSuites: []uint16{ // for TLS 1.2; all suites of TLS 1.3 are good
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
	if callCA != nil {
		config.ClientAuth, config.ClientCAs = demand, callCA
		// A resumed session shows no certificate, so a caller could go on after
		// the authority was removed.
		config.SessionTicketsDisabled = true
	}
	return config
}

// current returns the certificates, and reads changed files first.
func (c *Certificates) current() (tls.Certificate, *x509.CertPool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		if states := c.look(); states != c.states {
			c.states = states
			if err := c.read(); err != nil {
				c.log.Error("the certificate's files changed and can't be read; the old ones stay in use", "error", err)
			} else {
				c.log.Info("the certificate's files changed and were read again")
			}
		}
	}
	return c.cert, c.callCA
}

// look returns the states of the files, the zero value for a missing file.
func (c *Certificates) look() (states [3]fileState) {
	for i, file := range []string{c.certFile, c.keyFile, c.clientCAFile} {
		if info, err := os.Stat(file); err == nil {
			states[i] = fileState{info.Size(), info.ModTime()}
		}
	}
	return states
}

func (c *Certificates) read() error {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	var callCA *x509.CertPool
	if c.clientCAFile != "" {
		if callCA, err = LoadAuthorities(c.clientCAFile); err != nil {
			return err
		}
	}
	c.cert, c.callCA = cert, callCA
	return nil
}

var errNoCertificate = errors.New("there is no certificate in it")

// LoadAuthorities reads the certificates of authorities from a PEM file.
func LoadAuthorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificate authority %s: %w", file, errNoCertificate)
	}
	return pool, nil
}
