package embedded

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"
)

// The SASL mechanisms of the embedded broker (RFC 5802, RFC 7677).
const (
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// Security has the settings by which the embedded broker authenticates clients.
// The zero value is plain text without authentication.
type Security struct {
	// TLS is the broker's configuration, nil for plain text.
	TLS *tls.Config
	// Mechanism is the SASL mechanism for User and Password, "" for none.
	Mechanism      string
	User, Password string
}

// ErrMechanism is returned for any other SASL mechanism.
var ErrMechanism = errors.New("the embedded broker knows " + ScramSHA256 + " and " + ScramSHA512 + " only")

// options returns the settings of SASL as options of kfake. The caller must hold the
// lock of the data folder dir.
func (s Security) options(dir string) ([]kfake.Opt, error) {
	switch s.Mechanism {
	case "":
		return nil, nil
	case ScramSHA256, ScramSHA512:
	default: // PLAIN of kfake accepts unknown logins
		return nil, ErrMechanism
	}
	// kfake stores logins with its data, and prefers stored logins to options.
	if err := os.Remove(filepath.Join(dir, "sasl.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the logins of the last run: %w", err)
	}
	return []kfake.Opt{kfake.EnableSASL(), kfake.Superuser(s.Mechanism, s.User, s.Password)}, nil
}

// listener returns a listener whose connections are decrypted: [memberListener]
// reads the requests, so kfake's own TLS would hide too much.
func (s Security) listener(plain net.Listener) net.Listener {
	if s.TLS == nil {
		return plain
	}
	return tls.NewListener(plain, s.TLS)
}
