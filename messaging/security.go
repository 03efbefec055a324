package messaging

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/xdg-go/scram"
)

// Mechanisms of SASL (RFC 4616, RFC 5802, RFC 7677).
const (
	Plain       = sarama.SASLTypePlaintext
	ScramSHA256 = sarama.SASLTypeSCRAMSHA256
	ScramSHA512 = sarama.SASLTypeSCRAMSHA512
)

// Security is how a client and a broker know each other. The zero value is
// plain text, from and to anybody.
type Security struct {
	// TLS is one's own side of it: a client's configuration, or a broker's.
	TLS *tls.Config
	// Mechanism, if not "", is how User proves to know Password.
	Mechanism      string
	User, Password string
}

// secure sets a client up for it.
func (s Security) secure(c *sarama.Config) {
	if s.TLS != nil {
		c.Net.TLS.Enable, c.Net.TLS.Config = true, s.TLS
	}
	if s.Mechanism == "" {
		return
	}
	c.Net.SASL.Enable = true
	c.Net.SASL.Mechanism = sarama.SASLMechanism(s.Mechanism)
	c.Net.SASL.User, c.Net.SASL.Password = s.User, s.Password
	switch s.Mechanism {
	case ScramSHA256:
		c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: scram.SHA256} }
	case ScramSHA512:
		c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: scram.SHA512} }
	}
}

// scramClient is one conversation of SCRAM, as sarama leads it.
type scramClient struct {
	hash         scram.HashGeneratorFcn
	conversation *scram.ClientConversation
}

// Begin implements [sarama.SCRAMClient].
func (c *scramClient) Begin(user, password, authzID string) error {
	client, err := c.hash.NewClient(user, password, authzID)
	if err != nil {
		return fmt.Errorf("scram: %w", err)
	}
	c.conversation = client.NewConversation()
	return nil
}

// Step implements [sarama.SCRAMClient].
func (c *scramClient) Step(challenge string) (string, error) { return c.conversation.Step(challenge) }

// Done implements [sarama.SCRAMClient].
func (c *scramClient) Done() bool { return c.conversation.Done() }

var errBrokerMechanism = errors.New("the embedded broker knows " + ScramSHA256 + " and " + ScramSHA512 + " only")

// broker is what the embedded broker is told. Its data folder must be its own
// by now.
func (s Security) broker(dir string) ([]kfake.Opt, error) {
	var opts []kfake.Opt
	if s.TLS != nil {
		opts = append(opts, kfake.TLS(s.TLS))
	}
	switch s.Mechanism {
	case "":
		return opts, nil
	case ScramSHA256, ScramSHA512:
	default: // its PLAIN lets users in that it doesn't know
		return nil, errBrokerMechanism
	}
	// It keeps users with its data, and would rather believe those than us.
	if err := os.Remove(filepath.Join(dir, "sasl.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the users of the last run: %w", err)
	}
	return append(opts, kfake.EnableSASL(), kfake.Superuser(s.Mechanism, s.User, s.Password)), nil
}
