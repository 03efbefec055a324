package service

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// Other users get all outcomes while commands queue up behind the parked command
// of one user. The test logs how long the others wait, beside the same load
// without a parked user.
func TestOthersDontWaitForAParkedUser(t *testing.T) {
	s := newStack(t)
	s.setenv(brokenRule, "broken")
	s.startOneProcess()
	const others, rounds, each = 16, 5, 10
	for i := range others {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":"o%d","name":"New"}}`, i))
	}
	for _, id := range []string{"well", "ill"} {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%q,"name":"New"}}`, id))
	}
	wantProblem(t, s.wait(`{"type":"breakUser","payload":{"id":"ill","name":"Broken"}}`), http.StatusInternalServerError, "command-parked")

	p99 := map[string][]time.Duration{}
	for round := range rounds {
		for _, busy := range []string{"well", "ill"} {
			took, err := s.besides(busy, round, others, each)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(took)
			p99[busy] = append(p99[busy], took[len(took)*99/100])
		}
	}
	ratios := make([]float64, rounds)
	for i := range ratios {
		ratios[i] = p99["ill"][i].Seconds() / p99["well"][i].Seconds()
	}
	slices.Sort(ratios)
	t.Logf("p99 of the others with one user parked %v, with none %v: the median ratio is %.2f", p99["ill"], p99["well"], ratios[rounds/2])
	show, code := s.app("parked", "list")
	if code != exitOK || !strings.Contains(show, "ill") {
		t.Errorf("parked list: exit %d\n%s", code, show)
	}
}

// besides is how long each command of the other users took to the outcome, while
// one user's commands come all the time. A command without an outcome is an
// error.
func (s *stack) besides(busy string, round, others, each int) ([]time.Duration, error) {
	var over atomic.Bool
	var crowding errgroup.Group
	crowding.Go(func() error {
		for n := 0; !over.Load(); n++ {
			got, err := s.tryPost(fmt.Sprintf(`{"type":"renameUser","payload":{"id":%q,"name":"Name %d %d"}}`, busy, round, n))
			if err != nil || got.status != http.StatusAccepted {
				return fmt.Errorf("a command of user %s: %s %w", busy, got, err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		return nil
	})
	took := make([]time.Duration, others*each)
	var asking errgroup.Group
	for i := range others {
		asking.Go(func() error {
			for n := range each {
				began := time.Now()
				got := s.wait(fmt.Sprintf(`{"type":"renameUser","payload":{"id":"o%d","name":"Name %s %d %d"}}`, i, busy, round, n))
				took[i*each+n] = time.Since(began)
				if got.status != http.StatusOK {
					return fmt.Errorf("a command of user o%d beside user %s: %s", i, busy, got)
				}
			}
			return nil
		})
	}
	err := asking.Wait()
	over.Store(true)
	if crowded := crowding.Wait(); err == nil {
		err = crowded
	}
	return took, err
}
