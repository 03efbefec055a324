package embedded

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Mechanisms of SASL that the embedded broker knows (RFC 5802, RFC 7677).
const (
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// Security is how the embedded broker knows its clients. The zero value
// is plain text, from anybody.
type Security struct {
	// TLS is the broker's side of it.
	TLS *tls.Config
	// Mechanism, if not "", is how User proves to know Password.
	Mechanism      string
	User, Password string
}

// ErrMechanism is returned for a mechanism that the embedded broker doesn't know.
var ErrMechanism = errors.New("the embedded broker knows " + ScramSHA256 + " and " + ScramSHA512 + " only")

// options is what the embedded broker is told. Its data folder must be its own
// by now.
func (s Security) options(dir string) ([]kfake.Opt, error) {
	var opts []kfake.Opt
	if s.TLS != nil {
		opts = append(opts, kfake.TLS(s.TLS))
	}
	switch s.Mechanism {
	case "":
		return opts, nil
	case ScramSHA256, ScramSHA512:
	default: // its PLAIN lets users in that it doesn't know
		return nil, ErrMechanism
	}
	// It keeps users with its data, and would rather believe those than us.
	if err := os.Remove(filepath.Join(dir, "sasl.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the users of the last run: %w", err)
	}
	return append(opts, kfake.EnableSASL(), kfake.Superuser(s.Mechanism, s.User, s.Password)), nil
}
