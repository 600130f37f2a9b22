"""Tools of chats: functions that an answer may call, with arguments that match their schemas."""
