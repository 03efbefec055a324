package service

import (
	"crypto/tls"
	"fmt"
	"log/slog"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/web"
)

// newKafka makes the Kafka clients' settings of the configuration. The files of
// TLS are read.
func newKafka(cfg config.Config, brokers []string, log *slog.Logger) (*kafka.Kafka, error) {
	security := sasl(cfg)
	if cfg.Kafka.TLS.Enabled {
		var err error
		if security.TLS, err = kafkaTLS(cfg.Kafka.TLS); err != nil {
			return nil, fmt.Errorf("kafka: %w", err)
		}
	}
	return &kafka.Kafka{
		Brokers:     brokers,
		Partitions:  int32(cfg.Kafka.Partitions),
		Replication: int16(cfg.Kafka.Replication),
		Security:    security,
		Prefix:      cfg.Kafka.TopicPrefix,
		Producers:   cfg.Kafka.Producers,
		Log:         log,
	}, nil
}

// sasl is the name and password of the clients. The embedded broker asks for the
// same.
func sasl(cfg config.Config) kafka.Security {
	s := cfg.Kafka.SASL
	if s.Mechanism == config.SASLOff {
		return kafka.Security{}
	}
	return kafka.Security{Mechanism: s.Mechanism, User: s.User, Password: string(s.Password)}
}

// kafkaTLS makes the clients' TLS settings. The certificate is read again for
// each connection, so a renewed certificate needs no restart.
func kafkaTLS(cfg config.KafkaTLSConfig) (*tls.Config, error) {
	client := &tls.Config{ServerName: cfg.ServerName, MinVersion: tls.VersionTLS12}
	var err error
	if cfg.CA != "" {
		if client.RootCAs, err = web.LoadAuthorities(cfg.CA); err != nil {
			return nil, err
		}
	}
	if cfg.Cert == "" {
		return client, nil
	}
	load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		return &pair, err
	}
	if _, err := load(nil); err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", cfg.Cert, cfg.Key, err)
	}
	client.GetClientCertificate = load
	return client, nil
}

// broker is the TLS and SASL that the embedded broker asks of clients.
func (s *secure) broker(cfg config.Config) kafka.Security {
	security := sasl(cfg)
	if cfg.Kafka.TLS.Enabled {
		security.TLS = s.certificates.Server(tls.NoClientCert) // client certificates are for HTTP only
	}
	return security
}
