package service

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/kafka/connection"
	"github.com/millrace/millrace/router/web"
)

// newKafka makes the Kafka clients' settings of the configuration. The files of
// TLS and the file of the password are read at once, and again for each
// connection.
func newKafka(cfg config.Config, brokers []string, log *slog.Logger) (*kafka.Kafka, error) {
	security, err := kafkaSecurity(cfg)
	if err != nil {
		return nil, err
	}
	return &kafka.Kafka{
		Brokers:     brokers,
		Partitions:  int32(cfg.Kafka.Partitions),
		Replication: int16(cfg.Kafka.Replication),
		Security:    security,
		Renewed:     func() (connection.Security, error) { return kafkaSecurity(cfg) },
		Prefix:      cfg.Kafka.TopicPrefix,
		Log:         log,
	}, nil
}

// kafkaSecurity makes the clients' TLS and SASL, and reads all files.
func kafkaSecurity(cfg config.Config) (security connection.Security, err error) {
	security = sasl(cfg)
	if security.Mechanism != "" && cfg.Kafka.SASL.PasswordFile != "" {
		if security.Password, err = config.ReadSecret(cfg.Kafka.SASL.PasswordFile); err != nil {
			return security, fmt.Errorf("kafka: kafka.sasl.password_file %s: %w", cfg.Kafka.SASL.PasswordFile, err)
		}
	}
	if cfg.Kafka.TLS.Enabled {
		if security.TLS, err = kafkaTLS(cfg.Kafka.TLS); err != nil {
			return security, fmt.Errorf("kafka: %w", err)
		}
	}
	return security, nil
}

// passwordEvery is the time between two looks at the embedded broker's password.
const passwordEvery = time.Second

// renewPassword gives a changed password of kafka.sasl.password_file to the
// embedded broker, until the context ends: the broker's clients use the new
// password for their next connection.
func (m *Process) renewPassword(ctx context.Context, cfg config.Config, address string) {
	old := string(cfg.Kafka.SASL.Password)
	security := func() (connection.Security, error) {
		s, err := kafkaSecurity(cfg)
		s.Password = old
		return s, err
	}
	k := &kafka.Kafka{Brokers: []string{address}, Renewed: security, Log: m.Log}
	tick := time.NewTicker(passwordEvery)
	defer tick.Stop()
	for failed := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now, err := config.ReadSecret(cfg.Kafka.SASL.PasswordFile)
		if err != nil || now == old { // a client that connects says what is wrong with the file
			continue
		}
		if err := k.ChangePassword(ctx, now); err != nil {
			if failed++; failed == 1 {
				m.Log.Warn("the broker's password changed, and the broker doesn't take the new one; trying again", "error", err)
			}
			continue
		}
		old, failed = now, 0
		m.Log.Info("the broker's password changed, and the broker takes the new one")
	}
}

// sasl is the name and password of the clients. The embedded broker asks for the
// same.
func sasl(cfg config.Config) connection.Security {
	s := cfg.Kafka.SASL
	if s.Mechanism == config.SASLOff {
		return connection.Security{}
	}
	return connection.Security{Mechanism: s.Mechanism, User: s.User, Password: string(s.Password)}
}

// kafkaTLS makes the clients' TLS settings, and reads all files.
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
func (s *secure) broker(cfg config.Config) connection.Security {
	security := sasl(cfg)
	if cfg.Kafka.TLS.Enabled {
		security.TLS = s.certificates.Server(tls.NoClientCert) // client certificates are for HTTP only
	}
	return security
}
