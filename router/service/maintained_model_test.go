package service

import (
	"testing"
	"time"

	"github.com/millrace/millrace/router/config"
)

// Only a process with the read API knows who waits for its read models, so records
// gather nowhere else.
func TestRecordsGatherBesideTheReadAPIOnly(t *testing.T) {
	for _, c := range []struct {
		roles []config.Role
		want  time.Duration
	}{
		{[]config.Role{config.QueryService, config.ReadAPI}, gatherUnasked},
		{[]config.Role{config.QueryService}, 0},
	} {
		m := &maintainedModel{queryService: &queryService{Process: &Process{Config: config.Config{Roles: c.roles}}}}
		if got := m.gather(); got != c.want {
			t.Errorf("roles %v: records gather for %v, want %v", c.roles, got, c.want)
		}
	}
}
