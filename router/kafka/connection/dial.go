package connection

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrRefused is the error of a connection whose broker refuses the client's name
// and password, or whose broker the client doesn't trust. Waiting helps only if
// somebody changes a password or a certificate.
var ErrRefused = errors.New("refused")

// Dialer opens the connections of a client, with TLS and SASL. sarama's own TLS
// and SASL keep the first authorities and the first password, and tell a broker
// that hangs up as EOF.
type Dialer struct {
	// Security returns the settings of the moment, for each connection.
	Security func() (Security, error)
	// Near, if not nil, opens a connection without TCP to a broker of this process,
	// and returns nil for other addresses.
	Near     func(address string) net.Conn
	ClientID string        // the client's name for brokers
	Timeout  time.Duration // of the TCP connection
}

// handshakeTimeout is the limit for the handshakes of TLS and SASL, some round
// trips.
const handshakeTimeout = 15 * time.Second

// Dial implements sarama's proxy.Dialer.
func (d Dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.open(network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if conn, err = d.secure(ctx, conn, address); err != nil {
		return nil, err
	}
	return conn, nil
}

func (d Dialer) open(network, address string) (net.Conn, error) {
	if d.Near != nil {
		if conn := d.Near(address); conn != nil {
			return conn, nil
		}
	}
	return (&net.Dialer{Timeout: d.Timeout}).Dial(network, address)
}

// secure does the handshakes of TLS and SASL, with the settings of the moment.
func (d Dialer) secure(ctx context.Context, conn net.Conn, address string) (secured net.Conn, err error) {
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	security, err := d.Security()
	if err != nil {
		return nil, err
	}
	if security.TLS != nil {
		if conn, err = handshakeTLS(ctx, conn, address, security.TLS); err != nil {
			return nil, err
		}
	}
	if security.Mechanism != "" {
		until, _ := ctx.Deadline()
		if err := conn.SetDeadline(until); err != nil {
			return nil, err
		}
		if err := security.authenticate(conn, d.ClientID); err != nil {
			return nil, err
		}
		if err := conn.SetDeadline(time.Time{}); err != nil {
			return nil, err
		}
	}
	return conn, nil
}

func handshakeTLS(ctx context.Context, conn net.Conn, address string, config *tls.Config) (net.Conn, error) {
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return conn, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		var untrusted *tls.CertificateVerificationError
		if errors.As(err, &untrusted) {
			err = refusal{fmt.Sprintf("the certificate of Kafka at %s isn't trusted", address), untrusted.Err}
		}
		return conn, err
	}
	return secured, nil
}

// authenticate does the SASL handshake (KIP-43, KIP-152).
func (s Security) authenticate(conn net.Conn, client string) error {
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Version, handshake.Mechanism = 1, s.Mechanism
	known := kmsg.NewPtrSASLHandshakeResponse()
	if err := exchange(conn, client, handshake, known); err != nil {
		return fmt.Errorf("SASL: %w", err)
	}
	if err := kerr.ErrorForCode(known.ErrorCode); err != nil {
		return refusal{fmt.Sprintf("Kafka doesn't take the SASL mechanism %s, only %v", s.Mechanism, known.SupportedMechanisms), err}
	}
	if s.Mechanism == Plain {
		_, err := s.prove(conn, client, []byte("\x00"+s.User+"\x00"+s.Password))
		return err
	}
	conversation, err := s.scram()
	if err != nil {
		return err
	}
	for challenge := []byte(nil); ; {
		proof, err := conversation.Step(string(challenge))
		if err != nil {
			return s.refused(err)
		}
		if conversation.Done() {
			return nil
		}
		if challenge, err = s.prove(conn, client, []byte(proof)); err != nil {
			return err
		}
	}
}

// prove sends one step of a mechanism, and returns the broker's answer.
func (s Security) prove(conn net.Conn, client string, proof []byte) (challenge []byte, err error) {
	request := kmsg.NewPtrSASLAuthenticateRequest()
	request.Version, request.SASLAuthBytes = 1, proof
	answer := kmsg.NewPtrSASLAuthenticateResponse()
	switch err := exchange(conn, client, request, answer); {
	case errors.Is(err, io.EOF): // the embedded broker, and brokers of before KIP-152, hang up
		return nil, s.refused(errors.New("the broker hung up"))
	case err != nil:
		return nil, fmt.Errorf("SASL: %w", err)
	}
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		if answer.ErrorMessage != nil {
			err = errors.New(*answer.ErrorMessage)
		}
		return nil, s.refused(err)
	}
	return answer.SASLAuthBytes, nil
}

func (s Security) refused(why error) error {
	return refusal{fmt.Sprintf("Kafka refuses the user %s: wrong password, or no such user for %s", s.User, s.Mechanism), why}
}

// refusal is an [ErrRefused] with its text.
type refusal struct {
	text string
	why  error
}

// Error implements error.
func (r refusal) Error() string { return fmt.Sprintf("%s (%v)", r.text, r.why) }

// Unwrap returns the reason, and ErrRefused.
func (r refusal) Unwrap() []error { return []error{ErrRefused, r.why} }

// Told returns the refusal in an error of sarama, or the error itself: sarama
// says that it has run out of brokers.
func Told(err error) error {
	if err == nil {
		return nil
	}
	var refused refusal
	if errors.As(err, &refused) {
		return refused
	}
	var alert *net.OpError // TLS 1.3 refuses a client after the handshake
	if errors.As(err, &alert) && alert.Op == "remote error" {
		return refusal{"Kafka refuses the certificate of this client, or wants one", alert.Err}
	}
	return err
}

// maxAnswer is the limit of an answer in the SASL handshake.
const maxAnswer = 1 << 20

// exchange sends a request before sarama has the connection, and reads the
// answer.
func exchange(conn net.Conn, client string, request kmsg.Request, answer kmsg.Response) error {
	if _, err := conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID(client)).AppendRequest(nil, request, 0)); err != nil {
		return err
	}
	var head [8]byte // size and correlation id
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return io.EOF
		}
		return err
	}
	size := int64(binary.BigEndian.Uint32(head[:])) - 4
	if size < 0 || size > maxAnswer {
		return fmt.Errorf("%d bytes are no answer of Kafka", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(conn, body); err != nil {
		return err
	}
	answer.SetVersion(request.GetVersion())
	return answer.ReadFrom(body)
}
