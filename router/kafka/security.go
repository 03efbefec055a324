package kafka

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// The mechanisms of SASL (RFC 4616, RFC 5802, RFC 7677).
const (
	Plain       = sarama.SASLTypePlaintext
	ScramSHA256 = sarama.SASLTypeSCRAMSHA256
	ScramSHA512 = sarama.SASLTypeSCRAMSHA512
)

// Security has the settings by which client and brokers authenticate each other.
// The zero value is plain text without authentication.
type Security struct {
	// TLS is the client's configuration, nil for plain text.
	TLS *tls.Config
	// Mechanism is the SASL mechanism for User and Password, "" for none.
	Mechanism      string
	User, Password string
}

// scram begins a SCRAM conversation.
func (s Security) scram() (*scram.ClientConversation, error) {
	hash := scram.SHA256
	if s.Mechanism == ScramSHA512 {
		hash = scram.SHA512
	}
	client, err := hash.NewClient(s.User, s.Password, "")
	if err != nil {
		return nil, fmt.Errorf("scram: %w", err)
	}
	return client.NewConversation(), nil
}

// scramIterations is the least number of iterations that RFC 7677 allows.
const scramIterations = 4096

// ChangePassword changes the SCRAM password of the client's own user in the
// cluster.
func (k *Kafka) ChangePassword(ctx context.Context, password string) error {
	return within(ctx, func() error {
		security, err := k.security()
		if err != nil {
			return err
		}
		mechanism := sarama.SCRAM_MECHANISM_SHA_256
		if security.Mechanism == ScramSHA512 {
			mechanism = sarama.SCRAM_MECHANISM_SHA_512
		}
		salt := make([]byte, 16)
		if _, err := rand.Read(salt); err != nil {
			return err
		}
		admin, err := k.clusterAdmin()
		if err != nil {
			return fmt.Errorf("change the password: %w", err)
		}
		defer func() { _ = admin.Close() }()
		results, err := admin.UpsertUserScramCredentials([]sarama.AlterUserScramCredentialsUpsert{{
			Name: security.User, Mechanism: mechanism, Iterations: scramIterations, Salt: salt, Password: []byte(password),
		}})
		for _, result := range results {
			if err == nil && result.ErrorCode != sarama.ErrNoError {
				err = result.ErrorCode
			}
		}
		if err != nil {
			return fmt.Errorf("change the password: %w", err)
		}
		return nil
	})
}
