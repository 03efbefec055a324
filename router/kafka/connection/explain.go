package connection

import (
	"errors"
	"io"
	"strings"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// breakerOpen is the text of the Kafka client's error while a broker that failed
// several times gets no more requests.
const breakerOpen = "circuit breaker is open"

// undialed is the text of the producer's error for a broker that takes no
// connection.
const undialed = "unable to dial"

// awayError is an error with words for operators.
type awayError struct {
	text string
	err  error
}

func (e *awayError) Error() string { return e.text }

func (e *awayError) Unwrap() error { return e.err }

// Explain gives the errors of the Kafka clients that mean an outage the words
// "kafka is away", with the cause. Other errors stay as they are.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	text, plain := err.Error(), false
	for _, away := range []string{sarama.ErrOutOfBrokers.Error(), breakerOpen, sarama.ErrNotConnected.Error(), undialed, kgo.ErrRecordTimeout.Error()} {
		if strings.Contains(text, away) {
			text, plain = strings.ReplaceAll(text, away, "kafka is away"), true
		}
	}
	if !plain {
		return err
	}
	if errors.Is(err, io.EOF) {
		text = strings.Replace(text, "EOF", "the broker closed the connection", 1)
	}
	return &awayError{text, err}
}
