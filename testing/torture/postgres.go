package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	passwd "os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// addPostgres adds a PostgreSQL server for the run.
func (c *cluster) addPostgres(bin string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	p := &process{
		name: "postgres", role: database, dir: filepath.Join(c.dir, "postgres"),
		stopBy: syscall.SIGINT, // the server doesn't wait for clients then
		ready:  answers(postgresURL(address)),
	}
	data := filepath.Join(p.dir, "data")
	p.argv = []string{filepath.Join(bin, "postgres"), "-D", data, "-c", "port=" + port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="}
	if err := os.MkdirAll(p.dir, 0o750); err != nil {
		return err
	}
	if p.as, err = unprivileged(); err != nil {
		return err
	}
	if p.as != nil {
		if err := os.Chown(p.dir, int(p.as.Uid), int(p.as.Gid)); err != nil {
			return err
		}
		if err := os.Chmod(c.dir, 0o711); err != nil { // the server's user must get through
			return err
		}
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata", data, "--username", "millrace", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US")
	initdb.Dir, initdb.SysProcAttr = p.dir, &syscall.SysProcAttr{Credential: p.as}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	c.processes = append(c.processes, p)
	c.postgres = address
	return nil
}

// postgresURL is the URL of the database at an address.
func postgresURL(address string) string {
	return (&url.URL{Scheme: "postgres", User: url.User("millrace"), Host: address, Path: "/postgres", RawQuery: "sslmode=disable"}).String()
}

// unprivileged is the user to run PostgreSQL as, because PostgreSQL refuses to run
// as root. nil is the user of this process.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	owner, err := passwd.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(owner.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(owner.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// answers asks whether the database answers.
func answers(at string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, at)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		return conn.Ping(ctx)
	}
}
