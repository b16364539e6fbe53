"""Voice chat as OpenAI's Realtime API has it: speech in, speech out, over one WebSocket.

config        what a session is set to, and how clients of both generations spell it
events        events out, in the words of the generation the client speaks; errors
sound         sound as clients send and get it
items         what a conversation is made of
conversation  items in order, kept in a log of their own, so that who comes back finds them
prompt        a conversation as a language model is told it
ears          the client's sound becomes utterances, and these become text (a live transcript)
writing       the completion that writes a reply
said          what of a reply was said, and how much of that was heard
output        what a reply has put out, told and kept
speaker       one reply: a completion, spoken by a cast, both logs that stay
turn          one turn of the client's
floor         whose turn it is: when a turn has ended, what an interruption ends, and when it was none
replies       one reply at a time: begun by turns or by the client, ended early by either
session       events in, and the parts together
"""
