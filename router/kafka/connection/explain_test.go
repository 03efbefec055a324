package connection

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestExplain(t *testing.T) {
	other := errors.New("no such topic")
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("kafka at k:1: %w", sarama.Wrap(sarama.ErrOutOfBrokers, errors.New("dial tcp k:1: refused"))), "kafka at k:1: kafka is away: dial tcp k:1: refused"},
		{sarama.Wrap(sarama.ErrOutOfBrokers, io.EOF), "kafka is away: the broker closed the connection"},
		{fmt.Errorf("append: %w", errors.New("circuit breaker is open")), "append: kafka is away"},
		{fmt.Errorf("open a producer: %w", errors.New("unable to dial: dial tcp k:1: refused")), "open a producer: kafka is away: dial tcp k:1: refused"},
		{kgo.ErrRecordTimeout, "kafka is away"},
		{other, "no such topic"},
	} {
		got := Explain(c.err)
		if got.Error() != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if !errors.Is(got, c.err) {
			t.Errorf("%q hides its cause", got)
		}
	}
	if Explain(nil) != nil {
		t.Error("no error is an error")
	}
	if again := Explain(Explain(io.EOF)); again != io.EOF { //nolint:errorlint // the very value
		t.Errorf("explained twice: %v", again)
	}
}
