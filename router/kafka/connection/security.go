package connection

import (
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
