// Command go is a client of Millrace in Go. Its package api is generated from
// openapi.json.
//
//	go run . COMMANDS-URL QUERIES-URL
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tmaxmax/go-sse"

	"example.com/clients/api"
)

//go:generate mkdir -p api
//go:generate go tool oapi-codegen -config oapi-codegen.yaml ../../../docs/openapi.json

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(commandsURL, queriesURL string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	commands, err := api.NewClientWithResponses(commandsURL)
	if err != nil {
		return err
	}
	queries, err := api.NewClientWithResponses(queriesURL)
	if err != nil {
		return err
	}

	// The position of any answer is a place in the log: changes behind this place are new.
	before, err := queries.ListUsersWithResponse(ctx, nil)
	if err != nil {
		return err
	}
	position := before.HTTPResponse.Header.Get("Position")

	// Create Alice, and wait for the outcome.
	var id api.UserID
	var create api.Command
	if err := errors.Join(
		id.FromUserID0(1),
		create.FromCreateUserCommand(api.CreateUserCommand{Type: "createUser", Payload: api.CreateUser{Id: id, Name: "Alice"}}),
	); err != nil {
		return err
	}
	wait := "wait=10"
	created, err := commands.SendCommandWithResponse(ctx, &api.SendCommandParams{Prefer: &wait}, create)
	if err != nil {
		return err
	}
	if created.JSON200 == nil {
		return fmt.Errorf("createUser: %s %s", created.Status(), created.Body)
	}
	fmt.Printf("created %s, version %d\n", created.JSON200.Stream, created.JSON200.Version)

	// Read her after this write.
	read, err := queries.GetUserWithResponse(ctx, id, &api.GetUserParams{ReadAfter: &created.JSON200.Position})
	if err != nil {
		return err
	}
	if read.JSON200 == nil {
		return fmt.Errorf("GET /users/1: %s %s", read.Status(), read.Body)
	}
	fmt.Printf("read %s, version %d\n", read.JSON200.Name, read.JSON200.Version)

	// A rule says no: there is an Alice already.
	again, err := commands.SendCommandWithResponse(ctx, &api.SendCommandParams{Prefer: &wait}, create)
	if err != nil {
		return err
	}
	if again.ApplicationproblemJSON409 == nil {
		return fmt.Errorf("createUser again: %s %s", again.Status(), again.Body)
	}
	fmt.Printf("refused: %s\n", again.ApplicationproblemJSON409.Detail)

	// Follow the changes since the place above, up to the creation of Alice.
	changes, err := queries.FollowChanges(ctx, &api.FollowChangesParams{LastEventID: &position})
	if err != nil {
		return err
	}
	defer changes.Body.Close()
	for event, err := range sse.Read(changes.Body, nil) {
		if err != nil {
			return err
		}
		var change api.UserCreatedChange
		if event.Type != "userCreated" {
			continue
		}
		if err := json.Unmarshal([]byte(event.Data), &change); err != nil {
			return err
		}
		if change.Stream == created.JSON200.Stream {
			fmt.Printf("change %s of %s: %s\n", event.Type, change.Stream, change.Data.Name)
			return nil
		}
	}
	return errors.New("the changes have ended")
}
