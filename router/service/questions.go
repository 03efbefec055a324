package service

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// questions asks a person on a terminal.
type questions struct {
	answers *bufio.Reader // nil without a terminal
	out     io.Writer
	asked   bool
}

func newQuestions(in *invocation) *questions {
	if !isatty.IsTerminal(os.Stdin.Fd()) {
		return &questions{}
	}
	return &questions{answers: bufio.NewReader(os.Stdin), out: in.stdout}
}

// ask returns a given value, or the answer to a question. A wrong answer is
// asked again, an empty answer is the suggestion.
func (q *questions) ask(question, flag, suggestion, given string, check func(string) error) (string, error) {
	if given != "" {
		if err := check(given); err != nil {
			return "", fmt.Errorf("%w; %w", err, errUsage)
		}
		return given, nil
	}
	if q.answers == nil {
		return "", fmt.Errorf("%s is missing, such as %s %s (there is no terminal for a question); %w", flag, flag, suggestion, errUsage)
	}
	q.asked = true
	for {
		fmt.Fprintf(q.out, "%s [%s]: ", question, suggestion)
		line, err := q.answers.ReadString('\n')
		if err != nil {
			return "", errors.Join(errors.New("no answer"), err)
		}
		answer := cmp.Or(strings.TrimSpace(line), suggestion)
		if err = check(answer); err == nil {
			return answer, nil
		}
		fmt.Fprintf(q.out, "%s\n", err)
	}
}
