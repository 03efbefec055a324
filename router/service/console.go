package service

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/console"
	"github.com/millrace/millrace/router/kafka"
)

// newConsole makes the console of the process. A view whose part is nil is the
// view of another process.
func (m *Process) newConsole(cfg config.Config, at Addresses, sampler *console.Sampler, models *modelStatus, stopping <-chan struct{}) *console.Console {
	c := &console.Console{
		Title: m.Service.title, Version: version(), Pages: cfg.Admin.Console, Stopping: stopping, Log: m.Log,
		Commands: browserURL(cfg, cfg.CommandService.PublicURL, cmp.Or(at.Commands, cfg.CommandService.Address)),
		Queries:  browserURL(cfg, cfg.ReadAPI.PublicURL, cmp.Or(at.Queries, cfg.ReadAPI.Address)),
	}
	m.jobs = console.NewJobs()
	m.commandTimes = lazyClient[*kafka.CommandReader]{open: m.kafka.CommandReader}
	c.Views = []console.View{
		{Name: "overview", Part: &console.Overview{Sampler: sampler}},
		m.streamsView(), m.sendView(models), m.troubleView(), m.modelsView(models),
		{Name: "log", Part: m.logView(models)},
		{Name: "settings", Part: m.settingsView(cfg)},
	}
	for _, role := range cfg.Roles {
		c.Roles = append(c.Roles, string(role))
	}
	for _, peer := range cfg.Admin.Peers {
		name, at, _ := strings.Cut(peer, "=")
		c.Peers = append(c.Peers, console.Peer{Name: name, URL: at})
	}
	if m.secure.operators.NeedsToken() {
		c.Login = m.secure.operators
	}
	if !m.secure.operators.Guards() && !cfg.Insecure {
		c.Hosts = append(hostOf(cfg.Admin.PublicURL), "localhost")
	}
	return c
}

// closeConsole ends the jobs of the console, and closes its client of Kafka.
func (m *Process) closeConsole(ctx context.Context) error {
	m.jobs.Close()
	return m.commandTimes.close(ctx)
}

func hostOf(text string) []string {
	if u, err := url.Parse(text); err == nil && u.Hostname() != "" {
		return []string{strings.ToLower(u.Hostname())}
	}
	return nil
}

// browserURL returns a function for the URL of an address as a browser reaches
// the address. Without a public URL the host of an address on this machine is
// the host that the browser asks.
func browserURL(cfg config.Config, public, address string) func(*http.Request) string {
	return func(r *http.Request) string {
		if public != "" {
			return public
		}
		host, port, err := net.SplitHostPort(address)
		asked, _, askedErr := net.SplitHostPort(r.Host)
		if askedErr != nil {
			asked = strings.Trim(r.Host, "[]")
		}
		if err != nil || !isHere(host) || !isHostName(asked) {
			return httpURL(cfg, address)
		}
		return schemeOf(cfg) + "://" + net.JoinHostPort(asked, port)
	}
}

// isHere says whether a host is this machine, or all addresses of this machine.
func isHere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || strings.EqualFold(host, "localhost") || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// isHostName says whether a text is an IP address or a name, so the text can
// stand in a header.
func isHostName(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-')
	})
}

// consoleOrigins are the origins of the console's pages: of this process, and of
// the peers.
func consoleOrigins(cfg config.Config, admin string) (origins []string) {
	add := func(text string) {
		if u, err := url.Parse(text); err == nil && u.Host != "" {
			host := strings.ToLower(u.Host)
			if u.Scheme == "http" {
				host = strings.TrimSuffix(host, ":80")
			} else {
				host = strings.TrimSuffix(host, ":443")
			}
			origins = append(origins, strings.ToLower(u.Scheme)+"://"+host)
		}
	}
	if cfg.Admin.Console {
		add(cfg.Admin.PublicURL)
		if host, port, err := net.SplitHostPort(admin); err == nil {
			hosts := []string{host}
			if isHere(host) {
				hosts = []string{"localhost", "127.0.0.1", "::1"}
			}
			for _, host := range hosts {
				add(schemeOf(cfg) + "://" + net.JoinHostPort(host, port))
			}
		}
	}
	for _, peer := range cfg.Admin.Peers {
		_, at, _ := strings.Cut(peer, "=")
		add(at)
	}
	return origins
}
